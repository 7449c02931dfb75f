# SPDX-License-Identifier: MIT
# fish completion for lkvm. Commands, options and what they take come from the program itself
# (`lkvm help --words`, see include/lkvm/options.h). Installed as
# share/fish/vendor_completions.d/lkvm.fish.

# One item of a list, $argv[2], behind $argv[1]; the other arguments are the words that there are.
function __lkvm_item
    set -l before $argv[1]
    set -l item $argv[2]
    for word in $argv[3..-1]
        set -l pair (string split -m 1 = -- $word)
        if test (count $pair) = 2; and string match -q -- "$pair[1]=*" $item
            set -l value (string split -m 1 = -- $item)[2]
            switch $pair[2]
                case FILE PATH PREFIX DEVICE
                    __fish_complete_path $value | string replace -r -- '^' "$before$pair[1]="
                case '*|*'
                    printf "$before$pair[1]=%s\n" (string split '|' -- $pair[2])
            end
            return
        end
    end
    for word in $argv[3..-1]
        # A value follows.
        echo $before(string replace -r '=.*' = -- $word)
    end
end

# What the argument $argv[4] of kind $argv[2] may be, of the words $argv[3], behind $argv[1].
function __lkvm_argument
    set -l before $argv[1]
    set -l value $argv[4]
    set -l list (string split -n ' ' -- $argv[3] | string match -v -- -)
    switch $argv[2]
        case one
            printf "$before%s\n" $list
        case vm
            $__lkvm_program list 2>/dev/null | tail -n +2 | while read -l pid name state
                printf '%s\t%s\n' $before$name $state
            end
        case command
            $__lkvm_program help --words 2>/dev/null
        case file dir list
            if test (count $list) -gt 0; and string match -q '*,*' -- $value
                set -l parts (string match -r '^(.*,)([^,]*)$' -- $value)
                __lkvm_item $before$parts[2] $parts[3] $list
            else if test $argv[2] = list
                __lkvm_item $before $value $list
            else if test $argv[2] = dir
                __fish_complete_directories $value | string replace -r -- '^' $before
            else
                __fish_complete_path $value | string replace -r -- '^' $before
            end
    end
end

function __lkvm_complete
    set -l words (commandline -opc)
    set -l cur (commandline -ct)
    set -g __lkvm_program $words[1]
    if test (count $words) = 1
        __lkvm_argument '' command - ''
        return
    end
    set -l offers
    for line in ($__lkvm_program help --words $words[2] 2>/dev/null)
        set -l fields (string split \t -- $line)
        if test $fields[1] = -
            string match -q -- '-*' $cur; or __lkvm_argument '' $fields[2] $fields[3] $cur
            continue
        end
        for name in (string split ' ' -- $fields[1])
            if test $fields[2] != flag
                if test "$words[-1]" = $name
                    __lkvm_argument '' $fields[2] $fields[3] $cur
                    return
                else if string match -q -- "--*" $name; and string match -q -- "$name=*" $cur
                    __lkvm_argument $name= $fields[2] $fields[3] (string split -m 1 = -- $cur)[2]
                    return
                else if string match -qr '^-[^-]$' -- $name; and string match -q -- "$name?*" $cur
                    __lkvm_argument $name $fields[2] $fields[3] (string sub -s 3 -- $cur)
                    return
                end
            end
            set -a offers $name\t$fields[4]
        end
    end
    string match -q -- '-*' $cur; and printf '%s\n' $offers
end

complete -c lkvm -f -a '(__lkvm_complete)'
