#!/usr/bin/env bash
# Translates single images with the run of train_pix2pix.sh.
# Run it from the root of the repository. Flags that follow are added, and replace those below.
set -ex
python 02_inference.py --dataroot ./datasets/facades/testB/ --name facades_pix2pix --model test \
    --netG unet_256 --direction BtoA --dataset_mode single --norm batch "$@"
