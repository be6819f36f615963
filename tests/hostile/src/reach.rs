//! Deeds that reach for what was not granted: origins, methods, paths, slots.

use fetchhost_sdk::{Blob, FetchError, Method, Plan, Request, http};

use crate::{Deed, Params, harmless};

pub(crate) const DEEDS: &[Deed] = &[
    ("other-origin", |params| get(&params.other)),
    ("other-origin-in-plan", |params| plan(&params.other)),
    ("other-origin-in-send-all", other_origin_in_send_all),
    ("other-port", other_port),
    ("metadata", |_| {
        get("http://169.254.169.254/latest/meta-data/")
    }),
    ("userinfo", userinfo),
    ("file-url", |_| get("file:///etc/passwd")),
    ("post", |params| send(Method::Post, &params.granted())),
    ("delete", |params| send(Method::Delete, &params.granted())),
    ("post-in-plan", |params| {
        plan_of(Request::post(&params.granted()))
    }),
    ("path", |params| get(&format!("{}/secret", params.url))),
    ("path-in-plan", |params| {
        plan(&format!("{}/secret", params.url))
    }),
    ("path-dot-dot", |params| {
        get(&format!("{}/granted/../secret", params.url))
    }),
    ("path-encoded-dot-dot", |params| {
        get(&format!("{}/granted/%2e%2e/secret", params.url))
    }),
    ("path-encoded-slash", |params| {
        get(&format!("{}/granted%2Fsecret", params.url))
    }),
    ("path-backslash", |params| {
        get(&format!("{}/granted\\..\\secret", params.url))
    }),
    ("undeclared-slot", undeclared_slot),
    ("authorize-other-origin", authorize_other_origin),
    ("token-to-granted", token_to_granted),
    ("post-with-token", |params| {
        with_token(Request::post(&params.granted()))?.send()?;
        harmless()
    }),
    ("post-in-plan-with-token", |params| {
        plan_of(with_token(Request::post(&params.granted()))?)
    }),
    ("path-with-token", |params| {
        with_token(Request::get(&format!("{}/secret", params.url)))?.send()?;
        harmless()
    }),
    (
        "send-all-with-token-elsewhere",
        send_all_with_token_elsewhere,
    ),
    ("redirect-path-with-token", token_to_granted),
    ("plan-echo", token_to_granted),
    ("read-echo", read_echo),
    ("read-echo-in-send-all", read_echo_in_send_all),
    ("blob-echo", blob_echo),
    ("read-blob-echo", read_blob_echo),
    ("read-echo-after-failure", read_echo_after_failure),
];

fn with_token(request: Request) -> Result<Request, FetchError> {
    request.authorize("token")?;
    Ok(request)
}

/// The credential's own origin, and one that it does not belong to.
fn send_all_with_token_elsewhere(params: &Params) -> Result<Plan, FetchError> {
    let requests = [
        with_token(Request::get(&params.granted()))?,
        with_token(Request::get(&params.other))?,
    ];
    for answer in http::send_all(requests, 1024) {
        answer?;
    }
    harmless()
}

/// Reads what it may, and shows it to whoever looks at the result.
fn read_echo(params: &Params) -> Result<Plan, FetchError> {
    let answer = with_token(Request::get(&params.granted()))?.send()?;
    Plan::file(answer.bytes(1024 * 1024)?)
}

fn read_echo_in_send_all(params: &Params) -> Result<Plan, FetchError> {
    let request = with_token(Request::get(&params.granted()))?;
    let mut shown = Vec::new();
    for answer in http::send_all([request], 1024 * 1024) {
        shown.extend(answer?.bytes(1024 * 1024)?);
    }
    Plan::file(shown)
}

/// Content that was never read.
fn blob_echo(params: &Params) -> Result<Plan, FetchError> {
    let mut blob = Blob::new();
    blob.append(with_token(Request::get(&params.granted()))?.send()?)?;
    Plan::file(blob)
}

fn read_blob_echo(params: &Params) -> Result<Plan, FetchError> {
    let mut blob = Blob::new();
    blob.append(with_token(Request::get(&params.granted()))?.send()?)?;
    Plan::file(blob.read(0, 1024)?)
}

/// The token goes out with a request that fails; another without it is answered with the echo.
fn read_echo_after_failure(params: &Params) -> Result<Plan, FetchError> {
    let failed = with_token(Request::get(&params.granted()))?.send();
    assert!(failed.is_err(), "the server answers");
    Plan::file(Request::get(&params.granted()).send()?.bytes(1024)?)
}

fn send(method: Method, url: &str) -> Result<Plan, FetchError> {
    Request::new(method, url).send()?;
    harmless()
}

fn get(url: &str) -> Result<Plan, FetchError> {
    send(Method::Get, url)
}

fn plan_of(request: Request) -> Result<Plan, FetchError> {
    let mut tree = Plan::tree();
    tree.file("file", request)?;
    Ok(tree.into())
}

fn plan(url: &str) -> Result<Plan, FetchError> {
    plan_of(Request::get(url))
}

/// The granted host, but another server on it. `url` has to end with a port.
fn other_port(params: &Params) -> Result<Plan, FetchError> {
    let host = params.url.rsplit_once(':').map_or("", |(host, _)| host);
    get(&format!("{host}:9/granted/file"))
}

/// The forbidden one among allowed ones.
fn other_origin_in_send_all(params: &Params) -> Result<Plan, FetchError> {
    let urls = [&params.granted(), &params.other, &params.granted()];
    for answer in http::send_all(urls.map(|url| Request::get(url)), 1024) {
        answer?;
    }
    harmless()
}

/// A password in the URL would be a credential of the module's own.
fn userinfo(params: &Params) -> Result<Plan, FetchError> {
    get(&params.granted().replacen("://", "://user:password@", 1))
}

fn undeclared_slot(params: &Params) -> Result<Plan, FetchError> {
    Request::get(&params.granted()).authorize("another")?;
    harmless()
}

/// Asks for the credential where it does not belong, then sends the request all the same.
fn authorize_other_origin(params: &Params) -> Result<Plan, FetchError> {
    let request = Request::get(&params.other);
    let authorized = request.authorize("token")?;
    assert!(
        !authorized,
        "the host lends the credential to another origin"
    );
    request.send()?;
    harmless()
}

/// Not a crime by itself: what comes back is the answer of the server that redirects or echoes.
fn token_to_granted(params: &Params) -> Result<Plan, FetchError> {
    let request = Request::get(&params.granted());
    request.authorize("token")?;
    plan_of(request)
}
