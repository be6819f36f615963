# The same as extra-builtins.nix without a plugin:
#
#   (import ./exec.nix { }).fetch { fetcher = "gitlab-artifact"; params = { … }; hash = "sha256-…"; }
#
# It needs `allow-unsafe-native-code-during-evaluation = true`, with which every expression that you
# evaluate can run any program as you: docs/nix.md says more.
{
  exec ?
    builtins.exec or (throw "exec.nix: builtins.exec is there only with the Nix option allow-unsafe-native-code-during-evaluation = true; nix/fetchhost.nix does without"),
}:
let
  fetch = (import ./extra-builtins.nix { inherit exec; }).fetchhost;
in
{
  inherit fetch;

  # Signatures that the user made before.
  sign = import ./sign.nix { inherit fetch; };

  # The fetches of a lock file, by name.
  fromLock = import ./lock.nix { inherit fetch; };
}
