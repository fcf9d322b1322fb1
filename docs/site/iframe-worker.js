// Search from a file: there browsers start no workers, so that the search runs in a hidden frame.
class IFrameWorker extends EventTarget {
  constructor(url) {
    super();
    const frame = document.createElement("iframe");
    frame.hidden = true;
    document.body.appendChild(frame);
    this.frame = frame.contentWindow;
    window.addEventListener("message", (event) => {
      if (event.source !== this.frame) return;
      const message = new MessageEvent("message", { data: event.data });
      this.dispatchEvent(message);
      if (this.onmessage) this.onmessage(message);
    });
    const load = (...urls) =>
      urls.reduce(
        (before, each) =>
          before.then(
            () =>
              new Promise((resolve, reject) => {
                const script = document.createElement("script");
                script.src = each;
                script.onload = resolve;
                script.onerror = reject;
                document.body.appendChild(script);
              }),
          ),
        Promise.resolve(),
      );
    this.frame.document.open();
    this.frame.document.write(
      "<html><body><script>postMessage = parent.postMessage.bind(parent);" +
        `importScripts = ${load};</script><script src="${url}"></script></body></html>`,
    );
    this.frame.document.close();
    this.ready = new Promise((resolve) => {
      this.frame.onload = resolve;
    });
  }

  postMessage(data) {
    this.ready.then(() => this.frame.dispatchEvent(new MessageEvent("message", { data })));
  }

  terminate() {}
}

if (location.protocol === "file:") window.Worker = IFrameWorker;
