# A server, and ten clients in one process.
redis-server --port 7711 --save '' --appendonly no &
server=$!
until redis-cli -p 7711 ping; do :; done
redis-benchmark -p 7711 -q -n 20000 -c 10 -t set,get,lpush,lrange_100,mset
kill $server
wait $server
