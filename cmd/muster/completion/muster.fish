# Completion of muster for fish.
function __muster_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    for line in ($words[1] __complete fish $words[2..-1] "$current" 2>/dev/null)
        if test "$line" = \tfiles
            __fish_complete_path "$current"
            return
        end
        echo $line
    end
end
complete -c muster -f -a '(__muster_complete)'
