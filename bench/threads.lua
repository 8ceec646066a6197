-- SPDX-License-Identifier: MIT
--
-- threads.lua: what the other scripts share.  wrk gives each of its threads a Lua of its own; each takes every
-- so-manieth line of a file, so that no two threads use the same token or account.

local threads = {}

function setup(thread)
   thread:set("number", #threads)
   table.insert(threads, thread)
end

-- The lines of this thread, of so many threads.
function own_lines(path, count)
   local lines, i = {}, 0
   for line in io.lines(path) do
      if i % count == number then lines[#lines + 1] = line end
      i = i + 1
   end
   return lines
end

-- The sum of a thread's global variable over all threads, for done().
function sum(name)
   local all = 0
   for _, thread in ipairs(threads) do all = all + (thread:get(name) or 0) end
   return all
end
