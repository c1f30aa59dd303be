/* Makes the stored charts of a page interactive.

   A chart in the page is <div class="benchpred-chart"><img alt=description><script type="application/json">spec.
   The picture stays until Vega has drawn the spec, and wherever that fails. Vega is loaded once, on pages that have
   charts, from this folder. A chart is drawn again when the page turns dark or light, and when its width changes. */
(() => {
  "use strict";

  const boxes = [...document.querySelectorAll(".benchpred-chart")];
  if (!boxes.length) return;

  const folder = new URL(".", document.currentScript.src);
  const root = document.documentElement;
  const NARROW = 480; // pixels below which a legend goes under the chart
  const READABLE = 0.72; // the scale below which a row of plots had better scroll
  const SMALLEST = 110; // pixels of a plot that is still worth looking at

  const STRAIGHT = { axisX: { labelFlush: false } }; // the first and the last label stand under their ticks too

  const DARK = (() => {
    const ink = "#e6e9ee", muted = "#9aa4b1", grid = "#333b46";
    const text = { labelColor: ink, titleColor: ink };
    return {
      axis: { ...text, domainColor: muted, tickColor: muted, gridColor: grid },
      legend: text,
      header: text,
      title: { color: ink },
      text: { color: ink },
    };
  })();

  const isNarrow = (chart) => chart.box.clientWidth < NARROW;
  const isDark = () => root.dataset.theme === "dark";

  const merged = (base, extra) => {
    const result = { ...base };
    for (const [key, value] of Object.entries(extra)) {
      const both = value && typeof value === "object" && result[key] && typeof result[key] === "object";
      result[key] = both ? merged(result[key], value) : value;
    }
    return result;
  };

  const loadVega = () =>
    new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = new URL("vega-bundle.js", folder).href;
      script.onload = () => (window.vegaEmbed ? resolve(window.vegaEmbed) : reject(new Error("no vegaEmbed")));
      script.onerror = () => reject(new Error(`${script.src} could not be loaded`));
      document.head.append(script);
    });

  /* A drawn chart is one image to a screen reader, as the stored picture was; its marks would be noise. */
  const prepare = (box) => {
    const picture = box.querySelector("img");
    const canvas = document.createElement("div");
    canvas.className = "benchpred-canvas";
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", picture.alt);
    canvas.hidden = true;
    const controls = document.createElement("div");
    controls.className = "benchpred-controls";
    box.append(controls, canvas);
    return { box, picture, controls, canvas, spec: JSON.parse(box.querySelector("script").textContent), view: null };
  };

  /* On a phone, plots that stand side by side go one under the other. */
  const stacked = (spec) => {
    const { hconcat, facet, encoding, ...rest } = spec;
    if (hconcat) return { ...rest, vconcat: hconcat.map(stacked) };
    if (spec.vconcat) return { ...spec, vconcat: spec.vconcat.map(stacked) };
    if (spec.concat || facet?.field) return { ...spec, columns: 1 };
    if (facet?.column && !facet.row) return { ...rest, facet: facet.column, columns: 1 };
    if (encoding?.facet) return { ...spec, encoding: { ...encoding, facet: { ...encoding.facet, columns: 1 } } };
    if (!encoding?.column || encoding.row) return spec;
    const { column, ...others } = encoding;
    return { ...rest, encoding: { ...others, facet: { ...column, columns: 1 } } };
  };

  /* Where there is little room a legend is one column, whatever its author has said. */
  const withNarrowLegends = (value) => {
    if (Array.isArray(value)) return value.map(withNarrowLegends);
    if (!value || typeof value !== "object") return value;
    const copy = {};
    for (const [key, item] of Object.entries(value)) {
      const isLegend = key === "legend" && item && typeof item === "object";
      const isData = key === "datasets" || key === "data";
      copy[key] = isData ? item : isLegend ? { orient: "bottom", ...item, columns: 1 } : withNarrowLegends(item);
    }
    return copy;
  };

  /* The chart made narrower by so many pixels, shared by plots that stand side by side; null where that can't be.
     A table of numbers says in its usermeta below which width they would run into each other. */
  const narrower = (spec, pixels, standard) => {
    const each = (parts, share) => {
      const results = parts.map((part) => narrower(part, share, standard));
      return results.includes(null) ? null : results;
    };
    for (const [key, share] of [["vconcat", 1], ["hconcat", spec.hconcat?.length], ["concat", spec.columns]]) {
      if (!spec[key]) continue;
      const parts = share ? each(spec[key], pixels / share) : null;
      return parts && { ...spec, [key]: parts };
    }
    const columns = spec.spec ? spec.columns : spec.encoding?.facet ? spec.encoding.facet.columns : 1;
    if (!columns || spec.encoding?.column) return null;
    if (spec.spec) {
      const part = narrower(spec.spec, pixels / columns, standard);
      return part && { ...spec, spec: part };
    }
    const own = spec.width ?? standard;
    const least = spec.usermeta?.leastWidth ?? SMALLEST;
    return typeof own === "number" ? { ...spec, width: Math.max(least, Math.floor(own - pixels / columns)) } : null;
  };

  /* The spec for the present colours and width; null when it can't be made narrower by `spare` pixels. */
  const adapted = (chart, spare, slim) => {
    const legend = slim ? { legend: { orient: "bottom", columns: 1 } } : {};
    const config = [legend, STRAIGHT, isDark() ? DARK : {}].reduce(merged, chart.spec.config || {});
    const own = slim ? withNarrowLegends(chart.spec) : chart.spec;
    const spec = { ...(isNarrow(chart) ? stacked(own) : own), config };
    return spare > 0 ? narrower(spec, spare, config.view?.continuousWidth ?? 300) : spec;
  };

  /* The spec with its sliders where the reader has left them. */
  const asLeft = (spec, view) => {
    const left = (param) => (param.bind ? { ...param, value: view.signal(param.name) } : param);
    return view && spec.params ? { ...spec, params: spec.params.map(left) } : spec;
  };

  const embed = async (vegaEmbed, chart, spec) => {
    const drawn = asLeft(spec, chart.view?.view);
    chart.view?.finalize();
    chart.controls.replaceChildren();
    chart.view = await vegaEmbed(chart.canvas.firstElementChild, drawn, {
      renderer: "svg",
      actions: false,
      bind: chart.controls, // outside of what is hidden from a screen reader
      tooltip: { theme: isDark() ? "dark" : "light" },
    });
  };

  /* How many pixels a drawn chart is wider than its box. */
  const excess = (chart) =>
    Math.ceil(chart.canvas.querySelector("svg").getBoundingClientRect().width - chart.box.clientWidth);

  /* A chart that is too wide gets narrower plots, then a narrower legend; where that is not enough it is made
     smaller, or scrolls in its box. */
  const fit = async (vegaEmbed, chart) => {
    for (const slim of isNarrow(chart) ? [true] : [false, true]) {
      await embed(vegaEmbed, chart, adapted(chart, 0, slim));
      if (excess(chart) <= 0) return;
      const spec = adapted(chart, excess(chart) + 2, slim);
      if (spec) await embed(vegaEmbed, chart, spec);
      if (excess(chart) <= 0) return;
    }
    const scale = chart.box.clientWidth / (chart.box.clientWidth + excess(chart));
    chart.canvas.firstElementChild.classList.toggle("benchpred-fitted", scale >= READABLE);
  };

  const draw = async (vegaEmbed, chart) => {
    const stage = document.createElement("div");
    stage.setAttribute("aria-hidden", "true");
    chart.canvas.replaceChildren(stage);
    chart.canvas.hidden = false;
    try {
      await fit(vegaEmbed, chart);
      chart.picture.hidden = true;
      chart.box.dataset.state = "drawn";
    } catch (error) {
      chart.canvas.hidden = true;
      chart.controls.replaceChildren();
      chart.picture.hidden = false;
      chart.box.dataset.state = "failed";
      console.error("A chart could not be drawn; its picture stays.", error);
    }
    chart.box.dataset.width = chart.box.clientWidth;
    makeScrollable(chart.box);
  };

  /* What scrolls must be within reach of the keyboard. */
  const makeScrollable = (box) => {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  };

  const start = async () => {
    const vegaEmbed = await loadVega();
    const charts = boxes.map(prepare);
    let queue = Promise.resolve();
    const redraw = (which) => {
      queue = queue.then(async () => {
        for (const chart of charts) if (which(chart)) await draw(vegaEmbed, chart);
      });
    };
    // A chart in a closed fold has no width; it is drawn when the fold is opened.
    const redrawResized = () =>
      redraw(({ box }) => box.clientWidth && box.clientWidth !== Number(box.dataset.width));
    redrawResized();

    let dark = isDark();
    new MutationObserver(() => {
      if (isDark() === dark) return;
      dark = isDark();
      redraw(({ box }) => box.dataset.state);
    }).observe(root, { attributes: true, attributeFilter: ["data-theme"] });

    let timer;
    const sizes = new ResizeObserver(() => {
      clearTimeout(timer);
      timer = setTimeout(redrawResized, 150);
    });
    for (const chart of charts) sizes.observe(chart.box);
  };

  start().catch((error) => console.error("The charts stay pictures.", error));
})();
