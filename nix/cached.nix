# A fixed output that is never built: Nix takes it from a binary cache that nix-fetchhost has
# filled. No trust in the cache is needed, since Nix checks the content against `hash`.
{
  # The name in the store path, as `nix-fetchhost run --name` has it.
  name,
  # The hash that `nix-fetchhost prefetch` prints, such as "sha256-…".
  hash,
  # "nar" for a tree or an executable file, "flat" for a plain file.
  mode ? "nar",
  # How to fetch it: what comes after `nix-fetchhost run`. Only shown to people.
  fetch ? "FETCHER --PARAMETER VALUE…",
  # Where the message would be printed; has no influence on the store path.
  system ? builtins.currentSystem or "x86_64-linux",
}:
derivation {
  inherit name system;
  outputHash = hash;
  outputHashMode =
    {
      flat = "flat";
      nar = "recursive";
    }
    .${mode} or (throw "cached.nix: mode must be \"flat\" or \"nar\", not \"${mode}\"");
  preferLocalBuild = true;

  builder = "/bin/sh";
  args = [
    "-c"
    "echo \"$message\" >&2; exit 1"
  ];
  message = ''
    ${name} is in none of the binary caches that Nix was told to ask.
    Put it into one that is, and try again:

      nix-fetchhost run ${fetch} --hash ${hash} --name ${name} --mode ${mode} --to file:///PATH/TO/CACHE

    and have Nix ask it: --option extra-substituters file:///PATH/TO/CACHE
    Where the gateway (nix-fetchhost serve) is one of them, it has what it fetched before, and what
    a lock file names that nix-fetchhost approve approved.
    Nix remembers for an hour that a cache lacks a path; to ask again at once, add
    --option narinfo-cache-negative-ttl 0'';
}
