//! Deeds that reach for what was not granted: origins, methods, paths, slots.

use fetchhost_sdk::{FetchError, Method, Plan, Request, http};

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
];

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
