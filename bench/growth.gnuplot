# SPDX-License-Identifier: MIT
#
# growth.gnuplot: growth.tsv as a picture: gnuplot -e "tsv='growth.tsv'; svg='growth.svg'" bench/growth.gnuplot
set terminal svg size 980,900 background rgb 'white' font 'sans-serif,12'
set output svg
set datafile separator tab
set logscale x
set format x '10^{%T}'
set xlabel 'accounts and sessions'
set grid
set style data linespoints
set yrange [0:*]
set key below
set xrange [700:8e6]

# A series as a ratio to its first value.
first = 1
ratio(name) = ($0 == 0 ? first = column(name) : 0, column(name) / first)

set multiplot layout 2,2

set title 'reads: a call, as a ratio to the smallest size'
plot 1.3 title "the limit of authenticate" with lines dashtype 2 linecolor 'gray', \
    for [name in 'statement authenticate authenticate_few authenticate_me'] tsv using 'users':(ratio(name)) title name noenhanced

set title 'writes: a call without its hash, as a ratio'
plot for [name in 'login register refresh refresh_durable'] tsv using 'users':(ratio(name)) title name noenhanced

set title 'slowest page of 100 users, ms'
set logscale y
set yrange [0.05:*]
plot 10 title 'the limit at a million' with lines dashtype 2 linecolor 'gray', \
    for [name in 'order deep common middle rare none short pairs'] tsv using 'users':name title name noenhanced

set title 'maintain: a step, and authenticate beside it, ms'
set yrange [0.1:*]
plot tsv using 'users':'step' title 'a step of maintain, median', \
    tsv using 'users':'alone_p99' title 'authenticate, 99 of 100, alone', \
    tsv using 'users':'meanwhile_p99' title 'authenticate, 99 of 100, meanwhile'

unset multiplot
