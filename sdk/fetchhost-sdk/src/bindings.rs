//! What is generated from the WIT contract. Authors see the types of the other modules instead, so that
//! the contract can grow without breaking their code.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    reason = "generated code, not part of the public interface"
)]

wit_bindgen::generate!({
    path: "../../wit",
    world: "fetcher",
    pub_export_macro: true,
    export_macro_name: "export_component",
    default_bindings_module: "fetchhost_sdk::__private::bindings",
    runtime_path: "fetchhost_sdk::__private::rt",
});
