#!/usr/bin/env bash
# Download one of the published CycleGAN data sets into the folder of this script.
#
#     bash ./datasets/download_cyclegan_dataset.sh monet2photo
#
# CYCLEGAN_DATASETS_URL names another place that has the same zip files (a mirror, a file:// folder).

set -euo pipefail

NAMES="ae_photos apple2orange summer2winter_yosemite horse2zebra monet2photo cezanne2photo"
NAMES="$NAMES ukiyoe2photo vangogh2photo maps cityscapes facades iphone2dslr_flower"
BASE_URL="${CYCLEGAN_DATASETS_URL:-http://efrosgans.eecs.berkeley.edu/cyclegan/datasets}"
WORK=""

fail() {  # exit status, line...
    local status="$1"
    shift
    printf '%s\n' "download_cyclegan_dataset: error: $1" "${@:2}" >&2
    exit "$status"
}

clean_up() {
    if [ -n "$WORK" ]; then rm -rf "$WORK"; fi
}

download() {  # url, file
    if command -v curl >/dev/null 2>&1; then
        curl --fail --location --progress-bar --output "$2" "$1"
    elif command -v wget >/dev/null 2>&1; then
        wget --output-document="$2" "$1"
    else
        fail 1 "neither curl nor wget was found; install one of them"
    fi
}

find_unzip() {  # prints the command that unpacks a zip file
    local python
    if command -v unzip >/dev/null 2>&1; then
        echo "unzip"
        return
    fi
    for python in python3 python; do
        if "$python" -c "import zipfile" >/dev/null 2>&1; then
            echo "$python"
            return
        fi
    done
    fail 1 "neither unzip nor python3 was found; install one of them"
}

unpack() {  # command, zip file, folder
    if [ "$1" = "unzip" ]; then
        unzip -q "$2" -d "$3" || [ "$?" -eq 1 ] # 1: unpacked, with warnings
    else
        "$1" -m zipfile -e "$2" "$3"
    fi
}

main() {
    local datasets name target url unzipper unpacked
    datasets="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
    if [ "$#" -ne 1 ]; then
        fail 2 "give the name of one data set:" "  $NAMES"
    fi
    name="$1"
    case " $NAMES " in
        *" $name "*) ;;
        *) fail 2 "there is no data set '$name'; choose one of:" "  $NAMES" ;;
    esac
    if [ "$name" = "cityscapes" ]; then
        fail 1 "cityscapes may not be passed on by others: its licence asks you to get it yourself." \
            "Download gtFine_trainvaltest.zip and leftImg8bit_trainvaltest.zip from" \
            "https://www.cityscapes-dataset.com and put the images into $datasets/cityscapes"
    fi
    target="$datasets/$name"
    if [ -e "$target" ]; then
        fail 1 "$target exists already; remove it to download it again"
    fi

    # Work in a folder beside the target, so that a failure leaves nothing incomplete behind.
    unzipper="$(find_unzip)"
    WORK="$(mktemp -d "$datasets/.$name.XXXXXX")"
    url="${BASE_URL%/}/$name.zip"
    echo "downloading $url"
    download "$url" "$WORK/$name.zip.part" \
        || fail 1 "could not download $url; try again, or set CYCLEGAN_DATASETS_URL to a mirror"
    mkdir "$WORK/unpacked"
    unpack "$unzipper" "$WORK/$name.zip.part" "$WORK/unpacked" \
        || fail 1 "what came from $url is not a whole zip file; try again"
    unpacked="$WORK/unpacked/$name"
    if [ -d "$WORK/unpacked/trainA" ]; then unpacked="$WORK/unpacked"; fi
    if [ ! -d "$unpacked" ]; then
        fail 1 "the zip file from $url holds no folder $name; is CYCLEGAN_DATASETS_URL right?"
    fi
    mv "$unpacked" "$target"
    echo "done: $target; train with --dataroot $target"
}

trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
main "$@"
