# Artifacts of a private GitLab as inputs of an ordinary build:
#
#   nix-fetchhost serve &
#   nix-build examples/nix -A report
{
  system ? builtins.currentSystem,
  # Where the gateway listens.
  port ? 8459,
}:
let
  fetchhost = import ../../nix/fetchhost.nix { inherit port; };

  # From the lock file, by name; `nix-fetchhost lock --update manual` changes it.
  fetches = fetchhost.fromLock ./fetches.lock.json;

  # Or spelled out, with the hash that `nix-fetchhost prefetch` prints.
  engine = fetchhost.fetchGitLabArtifact {
    url = "https://gitlab.example.com";
    project = "acme/rockets/engine";
    job-id = 1001;
    hash = "sha256-TBY9/Bgfnwoul+o5BIligodnF4OS9DYvbIn3E40aQko=";
  };
in
{
  inherit engine;
  inherit (fetches) manual;

  report = derivation {
    name = "report";
    inherit system engine;
    inherit (fetches) manual;
    builder = "/bin/sh";
    args = [
      "-c"
      "while read -r line; do echo \"$line\"; done < $manual > $out; echo $engine/share/doc >> $out"
    ];
  };
}
