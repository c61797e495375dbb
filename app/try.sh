#!/usr/bin/env bash
# bash app/try.sh [REPO] [QUESTION]: installs what is missing, builds, and asks a repository (this one,
# if none is named) a question. Can be repeated; the second time it only asks.
set -u
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

repository=${1:-$sx_root}
question=${2:-Where is \`sx_rank_spans\` defined?}

# the program alone: tests, and kernels for a GPU that it does not use yet, take longer to build
sx_prepare && sx_targets=app/sparsex sx_build "$sx_root/build" || exit 1
sx_say ""
sx_say "sparsex ask $repository \"$question\" --within 100"
sx_say ""
# Of a large repository a part is read, sources first; the answer says how much that is.
exec "$sx_root/build/app/sparsex" ask "$repository" "$question" --within 100
