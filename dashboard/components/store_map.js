// The store map: one SVG rectangle per shelf, in metres of the floor plan. The plan is drawn once;
// each new reading only changes the shelves that differ, so that zoom, selection and hover stay.

const SVG = "http://www.w3.org/2000/svg"
const PHONE = 620 // px: narrower maps are turned by 90 degrees, so that shelves stay large enough to touch
const maps = new WeakMap()

const make = (name, attributes, parent, text) => {
  const element = document.createElementNS(SVG, name)
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value)
  if (text !== undefined) element.textContent = text
  parent.append(element)
  return element
}
const two = (value) => String(value).padStart(2, "0")
const html = (text) => text.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`)

const mix = (ramp, share) => {
  const place = Math.min(0.9999, Math.max(0, share)) * (ramp.length - 1)
  const from = ramp[Math.floor(place)], to = ramp[Math.floor(place) + 1], part = place % 1
  const at = (colour, index) => parseInt(colour.slice(1 + 2 * index, 3 + 2 * index), 16)
  return `rgb(${[0, 1, 2].map((index) => Math.round(at(from, index) * (1 - part) + at(to, index) * part)).join(" ")})`
}

class StoreMap {
  constructor(root) {
    this.root = root.querySelector(".map")
    this.stage = root.querySelector(".stage")
    this.svg = root.querySelector(".stage svg")
    this.tip = root.querySelector(".tip")
    this.scale = root.querySelector(".scale")
    this.pointers = new Map()
    this.watcher = new ResizeObserver(() => this.fit())
    this.watcher.observe(this.root)
    this.listen(root)
  }

  close() { this.watcher.disconnect() }

  show({ floor, live, selected, label }, pick) {
    this.pick = pick
    this.svg.setAttribute("aria-label", label)
    const dark = this.isDark(), redraw = floor !== this.floorText || dark !== this.dark
    this.dark = dark
    this.root.classList.toggle("dark", dark)
    if (floor !== this.floorText) { this.floorText = floor; this.floor = JSON.parse(floor) }
    if (live !== this.liveText) { this.liveText = live; this.before = this.live; this.live = JSON.parse(live) }
    if (redraw) this.draw()
    this.colour()
    this.select(selected)
    if (this.hovered !== undefined) this.tell(this.hovered)
  }

  isDark() {
    const probe = document.createElement("i")
    probe.style.color = "var(--st-background-color)"
    this.root.append(probe)
    const [red, green, blue] = getComputedStyle(probe).color.match(/[\d.]+/g).map(Number)
    probe.remove()
    return red * 0.3 + green * 0.6 + blue * 0.1 < 128
  }

  fit() {
    const width = this.root.clientWidth
    if (!width || !this.floor) return
    if (width < PHONE !== this.turned) { this.draw(); this.colour(); this.select(this.selected) }
  }

  // Floor metres (y upwards) to drawing metres (y downwards), turned on phones.
  place(x, y) { return this.turned ? [this.floor.size[1] - y, x] : [x, this.floor.size[1] - y] }

  box(x0, y0, x1, y1) {
    const [ax, ay] = this.place(x0, y0), [bx, by] = this.place(x1, y1)
    return { x: Math.min(ax, bx), y: Math.min(ay, by), width: Math.abs(ax - bx), height: Math.abs(ay - by) }
  }

  draw() {
    const width = this.root.clientWidth
    this.turned = width > 0 && width < PHONE
    this.ramp = this.floor.ramps[this.dark ? "dark" : "light"]
    this.scale.style.background = `linear-gradient(90deg, ${this.ramp.join(",")})`
    const [w, h] = this.turned ? [this.floor.size[1], this.floor.size[0]] : this.floor.size
    const margin = 0.5
    // A phone shows the selling area only.
    const beyond = this.turned ? Math.max(0, w - Math.max(...this.floor.shelves.map((shelf) => shelf[2])) - 1.6) : 0
    this.home = { x: beyond - margin, y: -margin, width: w - beyond + 2 * margin, height: h + 2 * margin }
    this.look(this.home)
    this.svg.replaceChildren()
    for (const [kind, name, storage, ...corners] of this.floor.boxes) {
      make("rect", { class: `box ${kind} ${storage}`, rx: kind === "till" ? 0.2 : 0.35, ...this.box(...corners) }, this.svg)
      if (kind === "backroom") this.write(name, "", corners, 0.85, "area")
    }
    for (const [x0, y0, x1, y1] of this.floor.walls) {
      const [ax, ay] = this.place(x0, y0), [bx, by] = this.place(x1, y1)
      make("line", { class: "wall", x1: ax, y1: ay, x2: bx, y2: by }, this.svg)
    }
    for (const [kind, x0, y0, x1, y1] of this.floor.doors) this.door(kind, x0, y0, x1, y1)
    for (const [text, short, x, y, room] of this.floor.labels) this.write(text, short, [x - room / 2, y - 0.5, x + room / 2, y + 0.5], 0.92, "aisle")
    this.tillName()
    const layer = make("g", { class: "shelves" }, this.svg)
    this.boxes = this.floor.shelves.map(([, x, y, sw, sh]) => this.box(x - sw / 2, y - sh / 2, x + sw / 2, y + sh / 2))
    this.rects = this.floor.shelves.map(([id], index) =>
      make("rect", { class: "shelf unknown", "data-shelf": id, "data-index": index, rx: 0.08, ...this.boxes[index] }, layer))
    this.crosses = make("path", { class: "crosses", d: "" }, this.svg)
    this.rings = [make("rect", { class: "ring", rx: 0.15, visibility: "hidden" }, this.svg),
      make("rect", { class: "ring inner", rx: 0.15, visibility: "hidden" }, this.svg)]
    this.shown = []
    this.before = undefined
  }

  // A text along the longer way of its box: smaller, then with fewer words, then its short form where it is too long.
  write(text, short, [x0, y0, x1, y1], size, kind) {
    const { x, y, width, height } = this.box(x0, y0, x1, y1)
    const along = Math.max(width, height) - 0.2, upright = height > width
    const fits = (words, em) => words.length * em * 0.49 <= along
    const fewer = (words) => words.replace(/( and)?( \S+)$/, "").replace(/ and$/, "")
    const small = 0.85 * size
    let words = text, em = fits(text, size) ? size : small
    while (!fits(words, em) && fewer(words) !== words) words = fewer(words)
    if (!fits(words, em) || /^\d+$/.test(words)) { words = short; em = size }
    if (!words) return
    const cx = x + width / 2, cy = y + height / 2
    const turn = upright ? { transform: `rotate(90 ${cx} ${cy})` } : {}
    make("text", { class: kind, x: cx, y: cy, "font-size": em, ...turn }, this.svg, words)
  }

  door(kind, x0, y0, x1, y1) {
    const [ax, ay] = this.place(x0, y0), [bx, by] = this.place(x1, y1)
    make("line", { class: "door-line", x1: ax, y1: ay, x2: bx, y2: by }, this.svg)
    if (kind !== "entrance" && kind !== "exit") return
    const name = kind === "entrance" ? "Entrance" : "Exit"
    const [cx, cy] = this.place((x0 + x1) / 2, y0 + 1)
    const turn = this.turned ? { transform: `rotate(90 ${cx} ${cy})` } : {}
    make("text", { class: "door", x: cx, y: cy, "font-size": 1.05, ...turn }, this.svg, name)
  }

  tillName() {
    const tills = this.floor.boxes.filter(([kind]) => kind === "till")
    if (!tills.length) return
    const left = Math.min(...tills.map((till) => till[3])), y = (tills[0][4] + tills[0][6]) / 2
    const [cx, cy] = this.place(left - 1.8, y)
    const turn = this.turned ? { transform: `rotate(90 ${cx} ${cy})` } : {}
    make("text", { class: "door", x: cx, y: cy, "font-size": 1.05, ...turn }, this.svg, "Tills")
  }

  colour() {
    if (!this.live || !this.rects) return
    const crosses = [], changed = []
    this.rects.forEach((rect, index) => {
      const stock = this.live.stock[index], most = this.live.max[index]
      const kind = stock === null ? "unknown" : stock <= 0 ? "empty" : "known"
      const paint = kind === "known" ? mix(this.ramp, most > 0 ? stock / most : 1) : ""
      if (kind === "empty") {
        const { x, y, width, height } = this.boxes[index], inset = Math.min(width, height) * 0.24
        crosses.push(`M${x + inset} ${y + inset}L${x + width - inset} ${y + height - inset}M${x + width - inset} ${y + inset}L${x + inset} ${y + height - inset}`)
      }
      const look = kind + paint
      if (this.shown[index] !== look) {
        rect.setAttribute("class", `shelf ${kind}`)
        rect.style.fill = paint
        this.shown[index] = look
      }
      if (this.before && this.before.stock[index] !== null && this.before.stock[index] !== stock) changed.push(rect)
    })
    this.crosses.setAttribute("d", crosses.join(""))
    this.before = undefined
    this.blink(changed)
  }

  // A short flash where stock has moved, so that one sees where shoppers are.
  blink(rects) {
    if (matchMedia("(prefers-reduced-motion: reduce)").matches || document.hidden) return
    const accent = getComputedStyle(this.root).getPropertyValue("--st-primary-color").trim()
    for (const rect of rects.slice(0, 300)) {
      const strong = { stroke: accent, strokeWidth: "0.3px" }
      rect.animate([strong, { ...strong, offset: 0.4 }, { stroke: accent, strokeWidth: "0.05px" }], { duration: 1300, easing: "ease-out" })
    }
  }

  select(id) {
    this.selected = id
    const index = id ? this.floor.shelves.findIndex(([shelf]) => shelf === id) : -1
    this.rings.forEach((ring, order) => {
      ring.setAttribute("visibility", index < 0 ? "hidden" : "visible")
      if (index < 0) return
      const { x, y, width, height } = this.boxes[index], grow = order ? 0.16 : 0.28
      for (const [key, value] of Object.entries({ x: x - grow, y: y - grow, width: width + 2 * grow, height: height + 2 * grow })) ring.setAttribute(key, value)
    })
  }

  tell(index) {
    this.hovered = index
    const [id, , , , , name, category, price] = this.floor.shelves[index]
    const stock = this.live?.stock[index] ?? null
    let now = '<div class="more">No stock known yet</div>'
    if (stock !== null) {
      const most = this.live.max[index], share = most > 0 ? Math.max(0, Math.min(1, stock / most)) : 0
      const at = new Date(this.live.changed[index] * 1000)
      now = `<div class="now">${stock} <span>of ${most} units</span></div><div class="bar"><i style="width:${100 * share}%;background:${mix(this.ramp, share)}"></i></div>
        <div class="more">${this.live.baskets[index]} in baskets · changed ${two(at.getUTCHours())}:${two(at.getUTCMinutes())}</div>`
    }
    this.tip.innerHTML = `<b>${html(name)}</b><div class="id">${html(id)} · ${html(category)} · ${price.toFixed(2)} €</div>${now}`
    const shelf = this.rects[index].getBoundingClientRect(), stage = this.stage.getBoundingClientRect()
    const below = shelf.top - stage.top < this.tip.offsetHeight + 12
    const left = shelf.left + shelf.width / 2 - stage.left - this.tip.offsetWidth / 2
    this.tip.style.left = `${Math.max(6, Math.min(stage.width - this.tip.offsetWidth - 6, left))}px`
    this.tip.style.top = `${below ? shelf.bottom - stage.top + 9 : shelf.top - stage.top - this.tip.offsetHeight - 9}px`
    this.tip.classList.add("on")
  }

  hush() { this.hovered = undefined; this.tip.classList.remove("on") }

  look(view) {
    this.view = view
    this.svg.setAttribute("viewBox", `${view.x} ${view.y} ${view.width} ${view.height}`)
    this.svg.style.aspectRatio = `${this.home.width} / ${this.home.height}`
    this.stage.classList.toggle("zoomed", view.width < this.home.width - 0.01)
  }

  zoom(factor, clientX, clientY) {
    const frame = this.svg.getBoundingClientRect()
    const px = clientX === undefined ? 0.5 : (clientX - frame.left) / frame.width
    const py = clientY === undefined ? 0.5 : (clientY - frame.top) / frame.height
    const width = Math.min(this.home.width, Math.max(this.home.width / 10, this.view.width / factor))
    const height = (width * this.home.height) / this.home.width
    this.move(this.view.x + px * (this.view.width - width), this.view.y + py * (this.view.height - height), width, height)
  }

  move(x, y, width = this.view.width, height = this.view.height) {
    const keep = (value, low, room) => Math.min(low + room, Math.max(low, value))
    this.look({ x: keep(x, this.home.x, this.home.width - width), y: keep(y, this.home.y, this.home.height - height), width, height })
    if (this.hovered !== undefined) this.hush()
  }

  listen(root) {
    const shelf = (event) => event.target.dataset?.index
    this.svg.onpointerover = (event) => { if (event.pointerType === "mouse" && shelf(event)) this.tell(Number(shelf(event))) }
    this.svg.onpointerout = (event) => { if (event.pointerType === "mouse" && shelf(event)) this.hush() }
    this.svg.onpointerdown = (event) => {
      this.pointers.set(event.pointerId, event)
      this.travelled = 0
    }
    this.svg.onpointermove = (event) => this.drag(event)
    const lift = (event) => { this.pointers.delete(event.pointerId) }
    this.svg.onpointerup = this.svg.onpointercancel = this.svg.onpointerleave = lift
    this.svg.onclick = (event) => {
      const index = shelf(event)
      if (this.travelled > 6) return
      if (index === undefined) this.hush()
      else this.choose(Number(index))
    }
    this.svg.onwheel = (event) => {
      if (!event.ctrlKey && !event.metaKey) return // the plain wheel scrolls the page
      event.preventDefault()
      this.zoom(event.deltaY < 0 ? 1.2 : 1 / 1.2, event.clientX, event.clientY)
    }
    this.svg.onkeydown = (event) => this.key(event)
    root.querySelector(".in").onclick = () => this.zoom(1.6)
    root.querySelector(".out").onclick = () => this.zoom(1 / 1.6)
    root.querySelector(".home").onclick = () => this.look(this.home)
  }

  choose(index) {
    const id = this.floor.shelves[index][0]
    this.select(id)
    this.tell(index)
    this.pick(id)
  }

  drag(event) {
    const before = this.pointers.get(event.pointerId)
    if (!before || this.view.width >= this.home.width - 0.01 && this.pointers.size < 2) return
    const metres = this.view.width / this.svg.getBoundingClientRect().width
    const dx = event.clientX - before.clientX, dy = event.clientY - before.clientY
    this.travelled += Math.abs(dx) + Math.abs(dy)
    if (this.pointers.size === 2) {
      const other = [...this.pointers.values()].find((pointer) => pointer.pointerId !== event.pointerId)
      const gap = (pointer) => Math.hypot(pointer.clientX - other.clientX, pointer.clientY - other.clientY)
      this.zoom(gap(event) / Math.max(1, gap(before)), (event.clientX + other.clientX) / 2, (event.clientY + other.clientY) / 2)
    } else this.move(this.view.x - dx * metres, this.view.y - dy * metres)
    this.pointers.set(event.pointerId, event)
  }

  // Arrow keys walk to the nearest shelf in that direction; Enter opens it.
  key(event) {
    const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }
    if (event.key === "Enter" && this.hovered !== undefined) return this.choose(this.hovered)
    if (event.key === "Escape") return this.hush()
    const way = ways[event.key]
    if (!way) return
    event.preventDefault()
    const here = this.hovered ?? Math.max(0, this.floor.shelves.findIndex(([id]) => id === this.selected))
    const centre = ({ x, y, width, height }) => [x + width / 2, y + height / 2]
    const [hx, hy] = centre(this.boxes[here])
    let best = here, least = Infinity
    this.boxes.forEach((box, index) => {
      const [x, y] = centre(box), ahead = (x - hx) * way[0] + (y - hy) * way[1]
      const aside = Math.abs((x - hx) * way[1]) + Math.abs((y - hy) * way[0])
      if (ahead > 0.05 && ahead + 3 * aside < least) { least = ahead + 3 * aside; best = index }
    })
    this.tell(best)
  }
}

export default function ({ data, parentElement, setTriggerValue }) {
  let map = maps.get(parentElement)
  if (!map) maps.set(parentElement, (map = new StoreMap(parentElement)))
  map.show(data, (id) => setTriggerValue("picked", id))
  return () => { map.close(); maps.delete(parentElement) }
}
