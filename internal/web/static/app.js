// Keys, dialogs and passkeys. Everything else is HTML from the server.

const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

// Passkeys. The challenge is the digest of what is signed; the server made it, and verifies the answer like any other signature.

async function assert(form, { challenge, rp, credentials }) {
  const answer = await navigator.credentials.get({
    publicKey: {
      challenge: bytes(challenge), rpId: rp, userVerification: "required", timeout: 120000,
      allowCredentials: credentials.map((id) => ({ type: "public-key", id: bytes(id) })),
    },
  });
  const set = (name, value) => { form.elements[name].value = value; };
  set("credential", answer.id);
  set("client_data", text(answer.response.clientDataJSON));
  set("authenticator_data", text(answer.response.authenticatorData));
  set("signature", text(answer.response.signature));
}

async function ask(url, fields) {
  const answer = await fetch(url, { method: "POST", body: new URLSearchParams(fields), headers: { Accept: "application/json" } });
  if (answer.headers.get("HX-Redirect")) {
    location.href = answer.headers.get("HX-Redirect");
    return new Promise(() => {});
  }
  if (!answer.ok) throw new Error("The server refused the request.");
  return answer.json();
}

async function signIn(form) {
  const c = await ask("/sign-in/challenge", { person: form.elements.person.value });
  form.elements.challenge.value = c.challenge;
  await assert(form, { challenge: c.sign, rp: c.rp_id, credentials: c.credentials });
}

async function register(form) {
  const c = await ask(form.dataset.passkeyRegister || "/account/passkeys/challenge", {});
  const made = await navigator.credentials.create({
    publicKey: {
      challenge: bytes(c.challenge), rp: { id: c.rp_id, name: "Patchwarrant" },
      user: { id: bytes(c.user), name: c.person, displayName: c.name },
      pubKeyCredParams: [{ type: "public-key", alg: -7 }], attestation: "direct", timeout: 120000,
      authenticatorSelection: { userVerification: "required", residentKey: "preferred" },
      excludeCredentials: c.exclude.map((id) => ({ type: "public-key", id: bytes(id) })),
    },
  });
  form.elements.challenge.value = c.challenge;
  form.elements.response.value = JSON.stringify(made.toJSON());
}

const sign = (form) => assert(form, { challenge: form.dataset.challenge, rp: form.dataset.rp, credentials: form.dataset.credentials.split(" ") });

const why = (error) => (error.name === "NotAllowedError" ? "No passkey answered, or you cancelled." : error.message);

// once lets a form go, and not again by a second click: the server would do it twice.
const sent = new WeakSet();
function once(event) {
  const form = event.target;
  if (form.method !== "post") return;
  if (sent.has(form)) event.preventDefault();
  sent.add(form);
  setTimeout(() => sent.delete(form), 5000); // a download leaves the page as it is
}

// paint changes the theme without leaving the page, and puts the button for the next one in place of the one that was used.
async function paint(form, button) {
  const theme = button.value;
  const answer = await fetch(form.action, { method: "POST", body: new URLSearchParams({ theme }), headers: { "HX-Request": "true" } });
  if (!answer.ok) return;
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  button.outerHTML = await answer.text();
  form.querySelector("button").focus();
}

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if ("themeNext" in form.dataset) {
    event.preventDefault();
    await paint(form, event.submitter);
    return;
  }
  const way = "passkeyLogin" in form.dataset ? signIn : "passkeyRegister" in form.dataset ? register : "passkey" in form.dataset ? sign : null;
  if (!way || event.submitter?.hasAttribute("data-plain")) {
    once(event);
    return;
  }
  event.preventDefault();
  const trouble = form.querySelector(".trouble");
  trouble.hidden = true;
  event.submitter.disabled = true;
  try {
    await way(form);
    form.submit();
  } catch (error) {
    trouble.textContent = why(error);
    trouble.hidden = false;
    event.submitter.disabled = false;
  }
});

// What is typed into a form marked data-keep outlives a reload, in this window, until it was taken.

const keepsake = (form) => `kept ${new URL(form.action).pathname}`;
const kept = (form) => [...form.elements].filter((e) => e.name && !["hidden", "submit"].includes(e.type));
const taken = new URLSearchParams(location.search).has("said");
for (const form of document.querySelectorAll("form[data-keep]")) {
  if (taken) history.replaceState(null, "", location.pathname); // a reload was not taken again
  if (taken) sessionStorage.removeItem(keepsake(form));
  const values = JSON.parse(sessionStorage.getItem(keepsake(form)) ?? "[]");
  kept(form).forEach((e, i) => {
    if (values[i] === undefined) return;
    if (e.type === "checkbox") e.checked = values[i];
    else e.value = values[i];
  });
  form.addEventListener("input", () => {
    sessionStorage.setItem(keepsake(form), JSON.stringify(kept(form).map((e) => (e.type === "checkbox" ? e.checked : e.value))));
  });
}

// Dialogs, copying, choosing all.

function open(id) {
  const dialog = document.getElementById(id);
  if (!dialog || document.querySelector("dialog[open]")) return;
  dialog.showModal();
  const input = dialog.querySelector("input[hx-get]");
  if (input) {
    input.value = "";
    input.dispatchEvent(new Event("look"));
  }
}

document.addEventListener("click", async (event) => {
  const at = event.target.closest("[data-open], [data-close], [data-copy]");
  if (event.target.tagName === "DIALOG") event.target.close();
  if (!at) return;
  if (at.dataset.open) open(at.dataset.open);
  if ("close" in at.dataset) at.closest("dialog").close();
  if (at.dataset.copy) {
    await navigator.clipboard.writeText(at.dataset.copy);
    at.textContent = "Copied";
    setTimeout(() => { at.textContent = "Copy"; }, 1500);
  }
});

document.addEventListener("change", (event) => {
  const name = event.target.dataset.all;
  if (!name) return;
  for (const box of event.target.form.querySelectorAll(`input[type=checkbox][name="${name}"]`)) box.checked = event.target.checked;
});

// Keys: / and Ctrl-K search, g and a letter goes to a section, j and k walk the rows.

const rows = () => [...document.querySelectorAll("tr[data-row]")].map((row) => row.querySelector("a[href]")).filter((a) => a && a.offsetParent);

function walk(list, step) {
  const here = list.indexOf(document.activeElement.closest("tr[data-row]")?.querySelector("a[href]") ?? document.activeElement);
  list[Math.min(Math.max(here + step, 0), list.length - 1)]?.focus();
}

let going = 0;
function go(on) {
  clearTimeout(going);
  document.body.classList.toggle("going", on);
  going = on ? setTimeout(() => go(false), 1500) : 0;
}

document.addEventListener("keydown", (event) => {
  const palette = document.getElementById("palette");
  if (palette?.open && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
    event.preventDefault();
    const hits = [...palette.querySelectorAll("#hits a")];
    const here = hits.indexOf(document.activeElement);
    if (here === 0 && event.key === "ArrowUp") palette.querySelector("input").focus();
    else walk(hits, event.key === "ArrowDown" ? 1 : -1);
    return;
  }
  if (palette?.open && event.key === "Enter" && event.target.tagName === "INPUT") {
    event.preventDefault();
    palette.querySelector("#hits a")?.click();
    return;
  }
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
    event.preventDefault();
    open("palette");
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]") || event.target.matches("input, textarea, select")) return;
  if (going) {
    go(false);
    document.querySelector(`nav [data-key="${CSS.escape(event.key)}"]`)?.click();
    return;
  }
  const does = { "/": () => open("palette"), "?": () => open("keys"), g: () => go(true), j: () => walk(rows(), 1), k: () => walk(rows(), -1) }[event.key];
  if (does) {
    event.preventDefault();
    does();
  }
});
