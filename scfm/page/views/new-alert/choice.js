// A choice among a few, all of which are seen: radio buttons, or boxes to tick.

import { html, useId } from "../../lib/ui.js";

/** One of `options`, [value, text] pairs. onInput gets the value. */
export function Choice({ legend, value, options, onInput }) {
  const name = useId();
  return html`<fieldset class="choices">
    <legend>${legend}</legend>
    ${options.map(
      ([key, text]) => html`<label class="check" key=${key}>
        <input type="radio" name=${name} value=${key} checked=${key === value} onChange=${() => onInput(key)} />
        <span>${text}</span>
      </label>`,
    )}
  </fieldset>`;
}

/** Any of `options`. onInput gets the values that are ticked, in the order of the options. */
export function Choices({ legend, values, options, onInput, error }) {
  const toggled = (key, ticked) => options.map(([one]) => one).filter((one) => (one === key ? ticked : values.includes(one)));
  return html`<fieldset class="choices">
    <legend>${legend}</legend>
    ${options.map(
      ([key, text]) => html`<label class="check" key=${key}>
        <input type="checkbox" checked=${values.includes(key)} onChange=${(event) => onInput(toggled(key, event.currentTarget.checked))} />
        <span>${text}</span>
      </label>`,
    )}
    ${error && html`<p class="error" role="alert">${error}</p>`}
  </fieldset>`;
}
