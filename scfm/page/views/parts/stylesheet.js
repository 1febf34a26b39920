/** Load a stylesheet that not all views need. Resolves when it holds, and also if it does not come. */
export function stylesheet(url) {
  return new Promise((resolve) => {
    const link = document.createElement("link");
    link.rel = "stylesheet";
    link.href = url;
    link.onload = link.onerror = resolve;
    document.head.append(link);
  });
}
