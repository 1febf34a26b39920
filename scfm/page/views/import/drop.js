// Where a file is dropped, or chosen.

import { html, useState } from "../../lib/ui.js";
import { t } from "../../lib/text.js";

/** onFile gets the file. */
export function Drop({ onFile }) {
  const [over, setOver] = useState(false);
  const dragged = (event) => {
    event.preventDefault();
    setOver(event.type === "dragover");
  };
  const dropped = (event) => {
    event.preventDefault();
    setOver(false);
    const [file] = event.dataTransfer.files;
    if (file) onFile(file);
  };
  const chosen = (event) => {
    const [file] = event.currentTarget.files;
    event.currentTarget.value = "";
    if (file) onFile(file);
  };
  return html`<div class=${over ? "drop over" : "drop"} onDragOver=${dragged} onDragLeave=${dragged} onDrop=${dropped}>
    <p>${t("import.drop")}</p>
    <label class="button primary">
      ${t("import.choose")}
      <input class="unseen" type="file" accept=".csv,.tsv,.txt,.xlsx,.jsonl,.ndjson,text/csv" onChange=${chosen} />
    </label>
    <p class="hint">${t("import.kinds")}</p>
  </div>`;
}
