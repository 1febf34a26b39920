// Loads the styles of what only the making of alerts and the import need.

import { stylesheet } from "../parts/stylesheet.js";

stylesheet(new URL("./new-alert.css", import.meta.url));
