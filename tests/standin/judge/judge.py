"""Judges the stand-in with python-gitlab, a client that knows GitLab and not us.

Reads from standard input a JSON object: `url`, the arguments of `gitlab.Gitlab` that hold a
credential in `login`, and what to ask for. Prints a JSON object: for each download the hex of its
SHA-256 or, if it was refused, the status that python-gitlab saw.
"""

import hashlib
import json
import sys

import gitlab


def downloads(client, wanted):
    """Yields each download's name and a function that fetches it, by python-gitlab's own methods."""
    project = client.projects.get(wanted["project"], lazy=True)
    job = project.jobs.get(wanted["job_id"], lazy=True)
    yield "project", lambda: client.projects.get(wanted["project"]).path_with_namespace.encode()
    yield "artifacts by job", job.artifacts
    yield "artifacts by ref", lambda: project.artifacts.download(
        ref_name=wanted["ref"], job=wanted["job"]
    )
    yield "artifact by job", lambda: job.artifact(wanted["member"])
    yield "artifact by ref", lambda: project.artifacts.raw(
        ref_name=wanted["ref"], artifact_path=wanted["member"], job=wanted["job"]
    )
    yield "package", lambda: project.generic_packages.download(
        package_name=wanted["package"],
        package_version=wanted["version"],
        file_name=wanted["package_file"],
    )
    yield "archive", lambda: project.repository_archive(sha=wanted["ref"], format="tar.gz")
    yield "file", lambda: project.files.raw(file_path=wanted["file"], ref=wanted["ref"])
    yield "pointer", lambda: project.files.raw(file_path=wanted["lfs_file"], ref=wanted["ref"])
    yield "large file", lambda: project.files.raw(
        file_path=wanted["lfs_file"], ref=wanted["ref"], lfs="true"
    )
    for name in wanted["assets"]:
        yield f"asset {name}", lambda name=name: asset(client, project, wanted["tag"], name)


def asset(client, project, tag, name):
    """Fetches an asset of a release from where the API says that it is."""
    (link,) = (link for link in project.releases.get(tag).assets["links"] if link["name"] == name)
    return client.http_get(link["direct_asset_url"], raw=True).content


def outcome(fetch):
    """Fetches, and says what came of it."""
    try:
        return hashlib.sha256(fetch()).hexdigest()
    except gitlab.exceptions.GitlabError as error:
        return error.response_code


def main():
    wanted = json.load(sys.stdin)
    client = gitlab.Gitlab(wanted["url"], **wanted["login"], timeout=20)
    result = {name: outcome(fetch) for name, fetch in downloads(client, wanted)}
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main()
