// A list of shelves, the emptiest first; a click opens one.

const row = (shelf) => {
  const button = document.createElement("button")
  button.type = "button"
  button.className = shelf.band
  const part = (name, text) => {
    const element = document.createElement("div")
    element.className = name
    element.textContent = text
    button.append(element)
    return element
  }
  part("name", shelf.name)
  const most = document.createElement("span")
  most.textContent = ` / ${shelf.max}`
  part("count", shelf.stock).append(most)
  part("place", shelf.place)
  const filled = document.createElement("i")
  filled.style.width = `${100 * shelf.share}%`
  part("bar", "").append(filled)
  const item = document.createElement("li")
  item.append(button)
  return item
}

export default function ({ data, parentElement, setTriggerValue }) {
  const list = parentElement.querySelector(".list")
  parentElement.querySelector(".none").textContent = data.shelves.length ? "" : data.none
  list.replaceChildren(...data.shelves.map(row))
  list.onclick = (event) => {
    const item = event.target.closest("li")
    if (item) setTriggerValue("picked", data.shelves[[...list.children].indexOf(item)].id)
  }
}
