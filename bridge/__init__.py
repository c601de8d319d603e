"""The bridge: facts from Redis Streams into Kafka, each exactly once, and a consistent cut per step."""
