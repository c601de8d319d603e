"""Pure builders: from readings to numbers, sentences, payloads and HTML. No Streamlit, no servers."""
