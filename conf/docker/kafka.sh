#!/usr/bin/env bash
# Formats the storage once, then becomes the broker.
set -euo pipefail
config=/opt/smartshelf/server.properties
if [ ! -f /var/lib/kafka/data/meta.properties ]; then
  /opt/kafka/bin/kafka-storage.sh format --ignore-formatted --cluster-id "$CLUSTER_ID" --config "$config"
fi
exec /opt/kafka/bin/kafka-server-start.sh "$config"
