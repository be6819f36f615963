//! What `bindgen!` makes of `wit/`: the types and traits of the world `fetcher`, as seen by the
//! host.

wasmtime::component::bindgen!({
    path: "../../wit",
    world: "fetcher",
    imports: { default: async | trappable },
    exports: { default: async },
    with: {
        "nix-fetchhost:fetcher/http.request": crate::host::http::Request,
        "nix-fetchhost:fetcher/http.response": crate::host::response::Response,
        "nix-fetchhost:fetcher/artifact.blob": crate::host::artifact::Blob,
        "nix-fetchhost:fetcher/artifact.plan": crate::host::artifact::Planned,
        "nix-fetchhost:fetcher/inputs.input": crate::host::inputs::OpenInput,
    },
});
