#!/bin/bash
# Fills this directory with the small files on which the recipes of the cookbook are tried.
set -euo pipefail

# Text: a log, rows with quotes and newlines in them, lines of JSON.
awk 'BEGIN { for (n = 1; n <= 60000; n++) printf "2026-11-27 %02d:%02d:%02d %s request %d took %d ms\n",
    n / 3600, n / 60 % 60, n % 60, n % 1000 ? "info" : "error", n, n * 7919 % 500 }' >app.log
awk 'BEGIN { split("north south east west", region); print "region,item,amount,note"
    for (n = 1; n <= 30000; n++) printf "%s,item %d,%d,%s\n", region[n % 4 + 1], n % 70, n * 31 % 1000, n % 500 ? "-" : "\"of two\nlines\"" }' >sales.csv
awk 'BEGIN { for (n = 1; n <= 30000; n++) printf "{\"id\": %d, \"name\": \"name %d\", \"size\": %d}\n", n, n % 900, n * 17 % 1000 }' >events.json
printf 'caf\351 %d\n' $(seq 20000) >latin1.txt
mkdir -p logs && for day in 24 25 26 27; do grep " 0[0-9]:$day:" app.log >"logs/$day.log"; done

# Biology, mail, and a file of records with 16 bytes each.
awk 'BEGIN { for (n = 1; n <= 400; n++) { print ">contig" n; for (k = 0; k < 40; k++) print (n * k % 3 ? "ACGTTGCAACGTACGGATCC" : "NNNNACGTACGTTTGACCAN") } }' >genome.fa
awk 'BEGIN { for (n = 1; n <= 8000; n++) print "@read" n "\n" (n % 5 ? "ACGTACGTGGCATTAGC" : "ACGNNNNNGGCATTAGC") "\n+\nIIIIIIIIIIIIIIIII" }' | gzip >reads.fastq.gz
awk 'BEGIN { for (n = 1; n <= 3000; n++) print "From a@example.org Fri Nov 27 2026\nSubject: " (n % 3 ? "hello" : "offer") " " n "\n\nText of mail " n ".\n" }' >mail.mbox
python3 -c 'import struct, sys
for n in range(50000): sys.stdout.buffer.write(struct.pack("<qd", n, n / 7))' >readings.bin

# Pictures (some names have a blank), a tree of files, pages, parameters, command lines.
mkdir -p photos && for n in $(seq 12); do
    awk -v n="$n" 'BEGIN { print "P2 40 30 255"; for (k = 0; k < 1200; k++) print k * n % 256 }' >"photos/picture $n.pgm"
done
for n in $(seq 300); do mkdir -p "tree/$((n % 9))" && seq "$n" >"tree/$((n % 9))/file $n.txt"; done
mkdir -p pages && for n in $(seq 8); do echo "<title>Page $n</title>" >"pages/$n.html" && echo "file://$PWD/pages/$n.html"; done >urls.txt
printf '%s\n' seed,rate 1,0.1 2,0.1 3,0.01 >parameters.csv
printf 'sort logs/%s.log | tail -n 1 > last-%s.txt\n' 24 24 25 25 26 26 >commands.txt

# Two programs of one's own: a converter of pictures, and an experiment.
cat >topng.py <<'END'
import struct, sys, zlib
magic, width, height, highest, *grey = open(sys.argv[1]).read().split()
width, height, grey = int(width), int(height), bytes(map(int, grey))
rows = b"".join(b"\0" + grey[row * width:(row + 1) * width] for row in range(height))
chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
with open(sys.argv[2], "wb") as out:
    out.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
END
cat >experiment.py <<'END'
import random, sys
seed, rate = int(sys.argv[1]), float(sys.argv[2])
random.seed(seed)
value = sum(random.random() * rate for _ in range(1000))
print(f"seed {seed} rate {rate}: {value:.1f}")
END
