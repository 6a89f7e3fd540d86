// What pages do to show live video, for tests and benchmarks. Each function returns a <video>.
"use strict";

function liveVideo() {
  const video = document.createElement("video");
  video.autoplay = video.muted = video.playsInline = true;
  document.body.append(video);
  return video;
}

async function showByWebRtc(camera, query = "") {
  const video = liveVideo(), peer = new RTCPeerConnection();
  window.peer = peer;
  peer.addTransceiver("video", {direction: "recvonly"});
  peer.ontrack = (event) => { video.srcObject = new MediaStream([event.track]); };
  await peer.setLocalDescription(await peer.createOffer());
  const answer = await fetch(`/api/v1/whep/${camera}${query}`, {
    method: "POST",
    headers: {"Content-Type": "application/sdp", "X-Sightd": "1"},
    body: peer.localDescription.sdp,
  });
  if (answer.status !== 201) throw new Error(`${answer.status} ${await answer.text()}`);
  window.session = answer.headers.get("Location");
  await peer.setRemoteDescription({type: "answer", sdp: await answer.text()});
  return video;
}

async function showByMse(camera, query = "") {
  const video = liveVideo(), source = new MediaSource(), waiting = [];
  window.types = [];
  video.src = URL.createObjectURL(source);
  await new Promise((open) => source.addEventListener("sourceopen", open, {once: true}));
  const socket = new WebSocket(`${location.origin.replace("http", "ws")}/api/v1/mse/${camera}${query}`);
  window.socket = socket;
  socket.binaryType = "arraybuffer";
  let buffer = null;
  const append = () => {
    if (buffer === null || buffer.updating || !waiting.length) return;
    const next = waiting.shift();
    if (typeof next === "string") {
      buffer.changeType(next);
      append();
    } else {
      buffer.appendBuffer(next);
    }
  };
  const follow = () => {
    const {buffered} = video;
    if (buffered.length) {
      const last = buffered.length - 1, end = buffered.end(last);
      if (video.currentTime < buffered.start(last) || end - video.currentTime > 0.6) video.currentTime = end - 0.1;
    }
    append();
  };
  socket.onmessage = (event) => {
    if (typeof event.data === "string") {
      const {type} = JSON.parse(event.data);
      window.types.push(type);
      if (buffer === null) {
        buffer = source.addSourceBuffer(type);
        buffer.addEventListener("updateend", follow);
      } else {
        waiting.push(type);
      }
    } else {
      waiting.push(event.data);
    }
    append();
  };
  return video;
}

// Resolves with the time of the first frame that is shown.
function firstFrame(video) {
  return new Promise((shown) => video.requestVideoFrameCallback((now) => shown(now)));
}

// Calls `seen` with the time and the image of the part (x, y, width, height) of each frame that is shown.
function watchFrames(video, part, seen) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [part[2], part[3]];
  const context = canvas.getContext("2d", {willReadFrequently: true});
  const next = () => {
    const now = performance.now();
    context.drawImage(video, ...part, 0, 0, part[2], part[3]);
    seen(now, context.getImageData(0, 0, part[2], part[3]).data);
    video.requestVideoFrameCallback(next);
  };
  video.requestVideoFrameCallback(next);
}
