# The same without the gateway: fetched while Nix evaluates.
#
#   nix-build --option allow-unsafe-native-code-during-evaluation true examples/nix/evaluation.nix -A manual
#
# With nix-plugins and ../../nix/extra-builtins.nix that option is not needed, and `fetch` is
# `builtins.extraBuiltins.fetchhost`.
{
  fetch ? (import ../../nix/exec.nix { }).fetch,
  system ? builtins.currentSystem,
}:
let
  fetches = import ../../nix/lock.nix { inherit fetch; } ./fetches.lock.json;
in
{
  manual = derivation {
    name = "copy-of-the-manual";
    inherit system;
    inherit (fetches) manual;
    builder = "/bin/sh";
    args = [
      "-c"
      "while read -r line; do echo \"$line\"; done < $manual > $out"
    ];
  };
}
