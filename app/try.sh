#!/usr/bin/env bash
# bash app/try.sh [REPO] [QUESTION]: installs what is missing, builds, and asks a repository (this one,
# if none is named) a question. Can be repeated; the second time it only asks.
set -u
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

repository=${1:-$sx_root}
question=${2:-Where is \`sx_rank_spans\` defined?}

sx_prepare && sx_build "$sx_root/build" || exit 1
sx_say ""
sx_say "sparsex ask $repository \"$question\""
sx_say ""
# Two minutes of reading at most: a larger repository is answered from its sources so far, and the answer
# says how much that was; the next run goes on.
exec "$sx_root/build/app/sparsex" ask "$repository" "$question" --within 120
