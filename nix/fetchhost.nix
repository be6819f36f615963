# Fixed outputs that lie behind authentication. Nix fetches them from the gateway, `nix-fetchhost
# serve`, on the loopback interface; the gateway asks the real server with the credentials and grants of
# its user. Nothing secret is here, in the derivation or in its URL, and Nix checks what comes.
#
# Needs neither nixpkgs nor an impure evaluation.
{
  # Where the gateway listens.
  port ? 8459,
  # The public id of the gateway's user, to be refused by the gateway of anybody else.
  owner ? null,
}:
let
  inherit (builtins)
    all
    attrNames
    concatStringsSep
    elem
    elemAt
    filter
    fromJSON
    genList
    hasContext
    head
    isString
    length
    listToAttrs
    mapAttrs
    match
    pathExists
    readFile
    removeAttrs
    replaceStrings
    split
    stringLength
    substring
    toJSON
    unsafeDiscardStringContext
    ;

  fail = message: throw "fetchhost.nix: ${message}";

  # What each first-party fetcher says of its parameters and of its output's mode and name. Generated
  # from the modules; a test compares.
  table = fromJSON (readFile ./defaults.json);

  # ---- Mode and name of the output: the first rule that matches.

  # The rule for `params`, or null for a fetcher of somebody else's.
  ruleFor =
    fetcher: params:
    let
      known = table.${fetcher};
      rules = filter (matches known params) known.output;
    in
    if !(table ? ${fetcher}) then
      null
    else if rules == [ ] then
      fail "no output rule of `${fetcher}` fits the parameters"
    else
      head rules;

  given = params: parameter: (params.${parameter} or null) != null;

  valueOf =
    known: params: parameter:
    if given params parameter then params.${parameter} else known.defaults.${parameter} or null;

  matches =
    known: params: rule:
    (!(rule ? set) || given params rule.set)
    && all (parameter: valueOf known params parameter == rule.equals.${parameter}) (
      attrNames (rule.equals or { })
    );

  ruledName =
    fetcher: params: rule:
    let
      parameter = rule.name-from;
      value = valueOf table.${fetcher} params parameter;
      segment = lastSegment value;
    in
    if rule ? name then
      rule.name
    else if !(isString value) then
      fail "`${fetcher}` names its output after `${parameter}`, which is not given: give a `name`"
    else if segment == null then
      fail "`${fetcher}` names its output after `${parameter}`, which has no last path segment: give a `name`"
    else
      sanitise segment;

  # The last path segment of a path or URL; of a URL, query and fragment are no part. Nothing is decoded.
  lastSegment =
    value:
    let
      scheme = head (split "://" value);
      isUrl = scheme != value;
      rest = substring (stringLength scheme + 3) (stringLength value) value;
      address = head (split "[?#]" rest);
      host = head (split "/" address);
      path = if isUrl then substring (stringLength host) (stringLength address) address else value;
      segments = filter (segment: isString segment && segment != "") (split "/" path);
    in
    if segments == [ ] then null else elemAt segments (length segments - 1);

  bytes = text: genList (at: substring at 1 text) (stringLength text);

  setOf =
    texts:
    listToAttrs (
      map (name: {
        inherit name;
        value = null;
      }) texts
    );

  alphanumeric = bytes "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  allowedInNames = setOf (alphanumeric ++ bytes "+-._?=");

  # With every byte that Nix refuses in a name replaced.
  sanitise =
    text:
    concatStringsSep "" (map (byte: if allowedInNames ? ${byte} then byte else "-") (bytes text));

  # Refuses what `nix-fetchhost` refuses, whatever this version of Nix does.
  checkName =
    name:
    # A store path may have 211, but Nix adds `.drv` for the derivation.
    if name == "" || stringLength name > 207 then
      fail "a `name` has 1 to 207 bytes"
    else if sanitise name != name then
      fail "the name `${name}` holds other characters than letters, digits and `+-._?=`"
    else if match "[.][.]?(-.*)?" name != null then
      fail "the name `${name}` is or begins with a dot component, which Nix reserves"
    else if match ".*[.]drv" name != null then
      fail "the name `${name}` ends in `.drv`, which Nix keeps for derivations"
    else
      name;

  chooseMode =
    {
      fetcher,
      mode,
      ruled,
      executable,
    }:
    if
      !(elem mode [
        null
        "flat"
        "nar"
      ])
    then
      fail "`mode` is \"flat\" or \"nar\""
    else if executable && mode == "flat" then
      fail "Nix refuses executable flat outputs: with `executable`, declare the hash of the NAR"
    else if executable && ruled == "nar" then
      fail "with these parameters `${fetcher}` makes a tree: `executable` is for a single file"
    else if executable then
      "nar"
    else if mode == "flat" && ruled == "nar" then
      fail "with these parameters `${fetcher}` makes a tree, which has no flat hash"
    else if mode != null then
      mode
    else if ruled != null then
      ruled
    else
      fail "`${fetcher}` is no first-party fetcher: give `mode` and `name`";

  # ---- The URL: everything but `A-Z a-z 0-9 - . _ ~` is `%XX`; bytes from 0x80 on stand as they are,
  # because Nix cannot compute their codes.

  digits = bytes "0123456789ABCDEF";
  hex = code: elemAt digits (code / 16) + elemAt digits (code - code / 16 * 16);
  character = code: fromJSON "\"\\u00${hex code}\"";
  unreserved = setOf (alphanumeric ++ bytes "-._~");
  escaped = filter (code: !(unreserved ? ${character code})) (genList (below: below + 1) 127);
  encode = replaceStrings (map character escaped) (map (code: "%${hex code}") escaped);

  checkOwner =
    if !(isString owner) || match "[0-9a-f]{16}" owner == null then
      fail "`owner` is the 16 hex digits that `nix-fetchhost serve` prints"
    else
      owner;

  # Nix prints the URL where nobody listens: so it says what to start.
  gateway =
    route: fetcher:
    "http://127.0.0.1:${toString port}/v1/${route}/start-nix-fetchhost-serve/${encode fetcher}/content";

  ofOwner = if owner == null then "" else "&owner=${checkOwner}";

  urlOf =
    {
      fetcher,
      params,
      inputs,
      hash,
      name,
      mode,
      executable,
    }:
    gateway "fetch" fetcher
    + "?mode=${mode}&name=${encode name}&hash=${encode hash}&params=${encode (toJSON params)}"
    + (if inputs == { } then "" else "&inputs=${encode (toJSON inputs)}")
    + (if executable then "&executable=1" else "")
    + ofOwner;

  signatureUrlOf =
    {
      fetcher,
      params,
      inputs,
      name,
      ...
    }:
    gateway "signature" fetcher
    + "?name=${encode name}&params=${encode (toJSON params)}&inputs=${encode (toJSON inputs)}"
    + ofOwner;

  # ---- The files that a fetcher is given.

  # Where each lies in the store. A file beside the expression is copied there.
  pathsOf =
    fetcher: inputs:
    let
      known = table.${fetcher}.inputs or [ ];
      unknown = filter (name: !(elem name known)) (attrNames inputs);
      missing = filter (name: !(inputs ? ${name})) known;
      pathOf =
        name: file:
        let
          path = "${file}";
        in
        if substring 0 (stringLength builtins.storeDir + 1) path == "${builtins.storeDir}/" then
          path
        else
          fail "the input `${name}` of `${fetcher}` is no file of the Nix store: name a derivation, or a file beside the expression as a path and not as a text";
    in
    if unknown != [ ] then
      fail "`${fetcher}` is given no file `${head unknown}`"
    else if missing != [ ] then
      fail "`${fetcher}` needs the file `${head missing}` among its `inputs`"
    else
      mapAttrs pathOf inputs;

  # What lies in none of the derivations that are built later has to be there while Nix evaluates.
  built = path: !(hasContext path) || pathExists path;

  # A signature that the gateway looks up while Nix evaluates.
  lookUp =
    output:
    let
      inherit (output) fetcher inputs;
      absent = filter (name: !(built inputs.${name})) (attrNames inputs);
    in
    if !(table.${fetcher}.signs or false) then
      fail "`${fetcher}` needs `hash`, which `nix-fetchhost prefetch ${fetcher}` prints"
    else if !(builtins ? currentSystem) then
      fail "without `hash` a signature is looked up while Nix evaluates, which pure evaluation does not allow; `nix-fetchhost run ${fetcher} --json` prints the hash"
    else if output.mode != "flat" || output.executable then
      fail "without `hash` a signature is a plain file: leave out `mode` and `executable`"
    else if absent != [ ] then
      fail "the input `${head absent}` of `${fetcher}` is not there: ${inputs.${head absent}}"
    else
      builtins.fetchurl {
        # Nix takes no URL that depends on a build; what it names has been built.
        url = unsafeDiscardStringContext (signatureUrlOf output);
        inherit (output) name;
      };

  # ---- The hash.

  base64Lengths = {
    md5 = 24;
    sha1 = 28;
    sha256 = 44;
    sha512 = 88;
  };

  # The algorithm of an SRI hash.
  algorithmOf =
    hash:
    let
      algorithm = head (split "-" hash);
      base64 = substring (stringLength algorithm + 1) (stringLength hash) hash;
    in
    if
      isString hash
      && base64Lengths ? ${algorithm}
      && stringLength base64 == base64Lengths.${algorithm}
      && match "[A-Za-z0-9+/]+={0,2}" base64 != null
    then
      algorithm
    else
      fail "`hash` is an SRI hash such as \"sha256-…=\", which `nix-fetchhost prefetch` prints";

  # ---- What users call.

  # A fixed-output derivation for what a fetcher makes of `params`. `mode` ("flat" or "nar": what the
  # hash is over) and `name` follow from the parameters; a fetcher of somebody else's, by its
  # PATH#sha256=HEX, needs both. Only a fetcher that signs can do without `hash`.
  fetch =
    {
      fetcher,
      params,
      inputs ? { },
      hash ? null,
      name ? null,
      mode ? null,
      executable ? false,
    }:
    let
      rule = ruleFor fetcher params;
      output = {
        inherit
          fetcher
          params
          hash
          executable
          ;
        inputs = pathsOf fetcher inputs;
        mode = chooseMode {
          inherit fetcher mode executable;
          ruled = rule.mode or null;
        };
        name = checkName (
          if name != null then
            name
          else if rule != null then
            ruledName fetcher params rule
          else
            fail "`${fetcher}` is no first-party fetcher: give `mode` and `name`"
        );
      };
      isNar = output.mode == "nar";
    in
    if hash == null then
      lookUp output
    else
      derivation (
        {
          inherit (output) name;
          system = "builtin";
          builder = "builtin:fetchurl";
          # Never by a remote builder, whose loopback interface is another one.
          preferLocalBuild = true;
          url = urlOf output;
          outputHashMode = if isNar then "recursive" else "flat";
          outputHashAlgo = algorithmOf hash;
          outputHash = hash;
        }
        // (if isNar then { unpack = true; } else { })
      );

  # `fetch` with the parameters beside `hash`, `name`, `mode` and `executable`. Null is as good as
  # leaving out.
  fetchWith =
    fetcher: args:
    let
      known = table.${fetcher};
      own = [
        "hash"
        "name"
        "mode"
        "executable"
      ];
      present = removeAttrs args (filter (name: args.${name} == null) (attrNames args));
      params = removeAttrs present own;
      unknown = filter (name: !(elem name known.parameters)) (attrNames params);
      missing = filter (name: !(params ? ${name})) known.required;
    in
    if unknown != [ ] then
      fail "`${fetcher}` has no parameter `${head unknown}`; it has ${concatStringsSep ", " known.parameters}"
    else if missing != [ ] then
      fail "`${fetcher}` needs `${head missing}`"
    else if !(present ? hash) then
      fail "`${fetcher}` needs `hash`, which `nix-fetchhost prefetch ${fetcher}` prints"
    else
      fetch (removeAttrs present (attrNames params) // { inherit fetcher params; });
in
{
  inherit fetch;

  # The fetches of a lock file, by name: `fromLock ./fetches.lock.json`. `nix-fetchhost lock` writes it.
  fromLock = import ./lock.nix { inherit fetch; };

  # A signature that the user made before: `sign { src = ./app.tar.gz; key = "release"; format = "minisign"; }`.
  # Looked up, and never made, by an expression.
  sign = import ./sign.nix { inherit fetch; };

  # The artifacts of a GitLab CI job.
  # { project, hash, job-id | ref + job, url ? "https://gitlab.com", path ?, unpack ?, strip-components ? }
  fetchGitLabArtifact = fetchWith "gitlab-artifact";

  # A file of a generic package. { project, package, version, file, hash, url ? }
  fetchGitLabPackage = fetchWith "gitlab-package";

  # The files of a repository. { project, ref, hash, url ?, subdirectory ? }
  fetchGitLabArchive = fetchWith "gitlab-archive";

  # A file of a repository. { project, ref, path, hash, url ?, lfs ? }
  fetchGitLabFile = fetchWith "gitlab-file";

  # An asset of a release. { project, tag, asset, hash, url ? }
  fetchGitLabRelease = fetchWith "gitlab-release";

  # An object of S3, or of storage that speaks its protocol.
  # { bucket, key, hash, region ?, endpoint ?, addressing-style ?, version-id ?, unpack ?, strip-components ? }
  fetchS3Object = fetchWith "s3-object";

  # A file over HTTP, or an archive, unpacked.
  # { url, hash, mirror ? [ ], unpack ?, format ?, strip-components ? }
  fetchHttpFile = fetchWith "http-file";
}
