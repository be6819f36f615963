{
  description = "A build whose inputs lie behind authentication";

  # Where the repository of nix-fetchhost is; this path is right within a clone of it.
  inputs.fetchhost.url = "path:../..";

  outputs =
    { fetchhost, ... }:
    let
      fetches = fetchhost.lib.fromLock ./fetches.lock.json;
    in
    {
      # `nix build .#manual`, in pure evaluation, while `nix-fetchhost serve` runs.
      packages.x86_64-linux = { inherit (fetches) engine manual; };
    };
}
