{
  "exit_status": 126,
  "calls": {},
  "tiers": {
    "fast": 0,
    "hybrid": 0,
    "pass": 0,
    "legacy": 0,
    "none": 0
  },
  "host_calls": 0,
  "trapped": 0,
  "sites": {
    "patched": 0,
    "remembered": 0,
    "trapping": 0
  },
  "zero_copy": {
    "handed_pages": 0,
    "handed_bytes": 0,
    "differed": 0,
    "late": 0
  },
  "batch": {
    "naps": 0,
    "bells_spared": 0,
    "bells_owed": 0
  },
  "processes": 0,
  "threads": 0,
  "execs": 0,
  "signals": 0,
  "boot_us": {
    "imported": 24065,
    "spawn": 35362,
    "loader": 39304,
    "region": 39349
  },
  "wall_us": 40015,
  "kernel_cpu_us": 38116,
  "peak_kib": {
    "kernel": 13216,
    "largest_guest": 10144
  }
}
