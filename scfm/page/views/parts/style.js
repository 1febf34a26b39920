// Loads the styles of the views that are not needed at first.

import { stylesheet } from "./stylesheet.js";

stylesheet(new URL("./views.css", import.meta.url));
