#!/usr/bin/env bash
# models.sh PROGRAM MODEL: model folders that are cut, lie, or hold garbage: exit 5, one line, at once.
set -u
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

model=$2 # absolute
make_toy repo
exits 0 'the model as it is' index repo --model "$model"

# broken WHAT: a copy of the model (weights linked) whose file is then changed; refused with exit 5.
copy() {
    rm -rf model
    mkdir model
    cp "$model/config.json" "$model/tokenizer.json" model
    cp "$model/model.safetensors" model/model.safetensors
}
refused() {
    exits 5 "$1" index repo --model model
    check "$1: clean" clean out err
}

copy
exits 0 'a copy' status repo --model model
size=$(stat -c %s "$model/model.safetensors")
for cut in 0 7 8 100 5000 $((size / 2)) $((size - 1)); do
    truncate -s "$cut" model/model.safetensors
    refused "weights cut at $cut"
    cp "$model/model.safetensors" model/model.safetensors
done
printf x >>model/model.safetensors
refused 'bytes behind the weights'
copy
printf '\xff\xff\xff\xff\xff\xff\xff\xff' | dd of=model/model.safetensors conv=notrunc status=none
refused 'header length 2^64-1'
copy
printf 'x' | dd of=model/model.safetensors bs=1 seek=9 conv=notrunc status=none
refused 'header is no JSON'
copy
rm model/model.safetensors
refused 'no weights'

for file in config.json tokenizer.json; do
    copy
    rm model/$file
    refused "no $file"
    copy
    head -c 300 "$model/$file" >model/$file
    refused "$file cut"
    printf '[1, 2' >model/$file
    refused "$file is no object"
    head -c 100000 /dev/zero | tr '\0' '[' >model/$file
    refused "$file nested 100000 deep"
    head -c 1000 /dev/urandom >model/$file
    refused "$file is noise"
    : >model/$file
    refused "$file is empty"
done
copy
while read -r key value; do
    jq ".$key = $value" "$model/config.json" >model/config.json
    refused "$key = $value"
done <<'END'
num_attention_heads 0
num_key_value_heads 7
num_key_value_heads 0
head_dim 0
head_dim 1048576
num_hidden_layers 0
num_hidden_layers 2147483648
hidden_size -1
hidden_size 385
rope_theta 0
rms_norm_eps 1e9
vocab_size 4
segment_tokens 0
block_tokens 0
global_layers [99]
global_layers []
landmark_dim 0
model_type "llama"
special_tokens {}
END
copy
jq '.model.merges += [["zzzzqq", "qqqq"]]' "$model/tokenizer.json" >model/tokenizer.json
refused 'a merge of absent tokens'
jq '.model.vocab["huge"] = 2147483648' "$model/tokenizer.json" >model/tokenizer.json
refused 'a token id out of range'
copy
rm model/model.safetensors
mkfifo model/model.safetensors
limit=10
refused 'a FIFO for weights'
finish
