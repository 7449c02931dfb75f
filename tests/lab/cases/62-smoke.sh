# SPDX-License-Identifier: MIT
# lkvm smoke with Linux: what it expects, how long its boot takes, and how it breaks.
# shellcheck shell=dash

# Each mark with its time, in the order in which they come; what the kernel says before init is not quiet.
in_order() {
	says "boot time in ns: exec=0 guest=[0-9]+ console=[0-9]+ init=[0-9]+ ${LAB_BOOT_TIMER:+boot-timer=[0-9]+ }mark\.7=[0-9]+ end=[0-9]+"
}
reported() {
	grep -q '"verdict":"passed","status":0' /run/smoke.json && grep -q '"mark":"mark.7","ns":[0-9]' /run/smoke.json
}
expected='^LAB-L2 marks set$'
rm -f /run/smoke.json
subcommand=smoke vm smoke-marks "$LAB_FULL_KERNEL" "loglevel=7 lab.test=marks lab.byte=7 $LAB_BOOT_TIMER" ${LAB_BOOT_TIMER:+--boot-timer} --timeout 0 \
	--expect '^LAB-L2-UP' --expect "$expected" --in-order --report json=/run/smoke.json
booted "smoke: a guest says what is expected, and is ended"
check "smoke: the boot took its time, to each mark" in_order
check_fact "smoke: the machine says where its boot mark is" mark-at "$LAB_BOOT_MARK"
check "smoke: the report has them too" reported

# Where the guest's half plays pvpanic's driver, it tells of the panic before the kernel does.
crashed() {
	says "LAB-L2 pvpanic" && says "smoke: failed after [0-9.]+ s: the guest's kernel panicked" && return
	says "failed after [0-9.]+ s: the kernel reported a crash: .*(Kernel panic|Oops|BUG|Internal error|Unable to handle)"
}
wanted=1 subcommand=smoke vm smoke-panic "$LAB_STABLE_KERNEL" lab.test=panic --timeout 0 --expect never
booted "smoke: a panic is a failure"
check "smoke: it is known as what it is" crashed
