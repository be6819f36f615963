# The fetches of a lock file, which `nix-fetchhost lock` writes, by name.
#
#   fromLock = import ./lock.nix { inherit fetch; };
#   (fromLock ./fetches.lock.json).NAME
{
  # `fetch` of fetchhost.nix or exec.nix, or the plugin's `builtins.extraBuiltins.fetchhost`.
  fetch,
}:
file:
let
  lock = builtins.fromJSON (builtins.readFile file);
  fetchOne =
    _: entry:
    fetch {
      inherit (entry)
        fetcher
        params
        name
        mode
        hash
        ;
      executable = entry.executable or false;
    };
in
if (lock.version or null) != 1 then
  throw "lock.nix: ${toString file} is no lock file of version 1; `nix-fetchhost lock` writes them"
else
  builtins.mapAttrs fetchOne lock.fetches
