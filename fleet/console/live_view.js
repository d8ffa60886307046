// Draws a camera's schematic frame: zones, lines, and boxes that glide between the frames they came in.
// Knows only what it is handed (CameraInfo, LiveFrame); there is no picture to draw.
const DELAY_MS = 260; // shown this far behind, so that there is a next position to glide to (frames come at 5 Hz)
const KEEP_MS = 900; // a track not seen for so long fades out
const TRAIL_MS = 4000;
const WAIT_MS = 4000;

export default {
  template: `
    <div style="width: 100%">
      <div class="live-view" :style="{maxWidth: widest}" :data-frames="frames" :data-objects="objects" :data-tracks="tracks.join(' ')">
        <canvas ref="canvas"></canvas>
        <div v-if="waiting" class="live-wait"><div>Waiting for the camera…<br>It sends boxes while this page is open.</div></div>
      </div>
      <div class="legend" :style="{maxWidth: widest}">
        <span v-for="one in legend" :key="one.cls"><i :style="{background: one.colour}"></i>{{ one.cls }} {{ one.count }}</span>
        <span v-if="!waiting && !legend.length">Nothing is moving.</span>
      </div>
    </div>`,
  props: { camera: Object, colours: Object },
  data: () => ({ frames: 0, objects: 0, tracks: [], legend: [], waiting: true }),
  computed: {
    widest() {
      return "calc(70vh * " + this.camera.width / this.camera.height + ")"; // all of it fits on the screen
    },
  },
  mounted() {
    this.paths = new Map(); // track -> { cls, conf, points: [{at, box}] }
    this.lastAt = 0;
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(this.$refs.canvas.parentElement);
    this.resize();
    const step = () => {
      this.draw();
      this.request = requestAnimationFrame(step);
    };
    step();
  },
  unmounted() {
    cancelAnimationFrame(this.request);
    this.observer.disconnect();
  },
  methods: {
    show(frame) {
      const at = performance.now();
      this.lastAt = at;
      this.frames += 1;
      this.objects = frame.objects.length;
      this.tracks = frame.objects.map((one) => one.track);
      const counts = {};
      for (const one of frame.objects) {
        counts[one.class] = (counts[one.class] || 0) + 1;
        const path = this.paths.get(one.track) || { points: [] };
        path.cls = one.class;
        path.conf = one.conf;
        path.points.push({ at, box: one.box });
        this.paths.set(one.track, path);
      }
      this.legend = Object.keys(counts).sort().map((cls) => ({ cls, count: counts[cls], colour: this.colour(cls) }));
    },
    colour(cls) {
      return this.colours[cls] || "#9db0b9";
    },
    resize() {
      const canvas = this.$refs.canvas;
      const width = canvas.parentElement.clientWidth;
      const height = Math.round((width * this.camera.height) / this.camera.width);
      const scale = window.devicePixelRatio || 1;
      canvas.width = width * scale;
      canvas.height = height * scale;
      canvas.style.height = height + "px";
      this.size = { width, height, scale };
    },
    draw() {
      const now = performance.now();
      this.waiting = !this.lastAt || now - this.lastAt > WAIT_MS;
      const pen = this.$refs.canvas.getContext("2d");
      pen.setTransform(this.size.scale, 0, 0, this.size.scale, 0, 0);
      this.drawGround(pen);
      for (const rule of this.camera.rules || []) rule.kind === "zone" ? this.drawZone(pen, rule) : this.drawLine(pen, rule);
      for (const [track, path] of this.paths) {
        const age = now - path.points[path.points.length - 1].at;
        if (age > KEEP_MS + TRAIL_MS) this.paths.delete(track);
        else this.drawTrack(pen, track, path, now, Math.max(0, 1 - Math.max(0, age - 350) / KEEP_MS));
      }
    },
    drawGround(pen) {
      const { width, height } = this.size;
      pen.fillStyle = "#0d1417";
      pen.fillRect(0, 0, width, height);
      pen.strokeStyle = "rgba(150,175,185,.07)";
      pen.lineWidth = 1;
      pen.beginPath();
      for (let part = 1; part < 8; part++) {
        const x = Math.round((width * part) / 8) + 0.5;
        const y = Math.round((height * part) / 8) + 0.5;
        pen.moveTo(x, 0);
        pen.lineTo(x, height);
        pen.moveTo(0, y);
        pen.lineTo(width, y);
      }
      pen.stroke();
    },
    place([x, y]) {
      return [x * this.size.width, y * this.size.height];
    },
    drawZone(pen, rule) {
      pen.beginPath();
      rule.points.forEach((point, index) => pen[index ? "lineTo" : "moveTo"](...this.place(point)));
      pen.closePath();
      pen.fillStyle = "rgba(45,212,191,.09)";
      pen.fill();
      pen.strokeStyle = "rgba(45,212,191,.55)";
      pen.lineWidth = 1.5;
      pen.setLineDash([6, 5]);
      pen.stroke();
      pen.setLineDash([]);
      const middle = [0, 1].map((axis) => rule.points.reduce((sum, point) => sum + point[axis], 0) / rule.points.length);
      const [x, y] = this.place(middle);
      this.write(pen, rule.name, x - pen.measureText(rule.name).width / 2, y, "rgba(94,226,208,.9)");
    },
    drawLine(pen, rule) {
      const [a, b] = rule.points.map((point) => this.place(point));
      pen.strokeStyle = "rgba(244,191,79,.85)";
      pen.lineWidth = 2;
      pen.beginPath();
      pen.moveTo(...a);
      pen.lineTo(...b);
      pen.stroke();
      // `in` is from the line's left to its right, seen from its first point; y grows downwards here.
      const length = Math.hypot(b[0] - a[0], b[1] - a[1]) || 1;
      const right = [-(b[1] - a[1]) / length, (b[0] - a[0]) / length];
      const middle = [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];
      const tip = [middle[0] + right[0] * 20, middle[1] + right[1] * 20];
      pen.beginPath();
      pen.moveTo(...middle);
      pen.lineTo(...tip);
      pen.stroke();
      this.write(pen, "in", tip[0] + 6, tip[1] + 6, "rgba(244,191,79,.9)");
      this.write(pen, rule.name, a[0] + 6, a[1] - 8, "rgba(244,191,79,.95)");
    },
    drawTrack(pen, track, path, now, strength) {
      while (path.points.length > 2 && now - path.points[1].at > TRAIL_MS) path.points.shift();
      const box = this.boxAt(path.points, now - DELAY_MS);
      const colour = this.colour(path.cls);
      pen.globalAlpha = strength;
      this.drawTrail(pen, path.points, box, colour, now - DELAY_MS);
      const [left, top] = this.place(box);
      const [right, bottom] = this.place(box.slice(2));
      pen.strokeStyle = colour;
      pen.lineWidth = 2;
      pen.beginPath();
      pen.roundRect(left, top, right - left, bottom - top, 4);
      pen.stroke();
      pen.globalAlpha = strength * 0.14;
      pen.fillStyle = colour;
      pen.fill();
      pen.globalAlpha = strength;
      this.write(pen, `${path.cls} ${track}`, left, Math.max(12, top - 5), colour);
      pen.globalAlpha = 1;
    },
    drawTrail(pen, points, box, colour, until) {
      pen.strokeStyle = colour;
      pen.lineWidth = 1.5;
      pen.beginPath();
      for (const point of points) {
        if (point.at > until) break;
        pen.lineTo(...this.place(this.foot(point.box)));
      }
      pen.lineTo(...this.place(this.foot(box)));
      pen.globalAlpha *= 0.5;
      pen.stroke();
      pen.globalAlpha *= 2;
    },
    foot(box) {
      return [(box[0] + box[2]) / 2, box[3]];
    },
    boxAt(points, at) {
      const next = points.findIndex((point) => point.at > at);
      if (next === 0) return points[0].box;
      if (next < 0) return points[points.length - 1].box;
      const [from, to] = [points[next - 1], points[next]];
      const share = (at - from.at) / (to.at - from.at || 1);
      return from.box.map((value, index) => value + (to.box[index] - value) * share);
    },
    write(pen, text, x, y, colour) {
      pen.font = "12px system-ui, sans-serif";
      pen.fillStyle = "rgba(13,20,23,.65)";
      pen.fillRect(x - 3, y - 11, pen.measureText(text).width + 6, 15);
      pen.fillStyle = colour;
      pen.fillText(text, x, y);
    },
  },
};
