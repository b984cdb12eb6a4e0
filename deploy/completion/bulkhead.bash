# Completion of bulkhead(1) for bash.

_bulkhead()
{
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    local command=${COMP_WORDS[1]} words=

    case $prev in
    --config | --as | --catalog | --output)
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        return
        ;;
    --directory)
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -d -- "$cur")
        return
        ;;
    --type)
        words='session_opened session_refused session_closed command_intent command_outcome event
            service_started service_stopped service_died configuration_loaded admin_action
            ledger_recovered'
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
        return
        ;;
    --verdict)
        mapfile -t COMPREPLY < <(compgen -W 'allow deny' -- "$cur")
        return
        ;;
    --resource | --subject | --group | --issuer | --database | --source | --at | --sql | --search-path | --ttl | --actor | --task | \
        --session | --since | --until | --limit)
        return
        ;;
    esac

    if [ "$COMP_CWORD" -eq 1 ]; then
        words='serve check explain token login-link audit status sessions kill catalog schema --help --version'
    else
        case $command in
        serve | check | status | kill) words='--config --help' ;;
        catalog) words='--resource --database --output --config --help' ;;
        sessions) words='--json --config --help' ;;
        schema) words='--json --markdown --help' ;;
        explain) words='--as --resource --sql --database --search-path --catalog --purpose --source --at --issuer
            --json --config --help' ;;
        token)
            if [ "$COMP_CWORD" -eq 2 ]; then
                words='issue revoke keys'
            elif [ "${COMP_WORDS[2]}" = issue ]; then
                words='--subject --group --resource --actor --task --ttl --config --help'
            else
                words='--config --help'
            fi
            ;;
        login-link) words='--subject --group --config --help' ;;
        audit)
            if [ "$COMP_CWORD" -eq 2 ]; then
                words='list show follow verify'
            else
                case ${COMP_WORDS[2]} in
                list) words='--session --subject --resource --type --verdict --since --until
                    --limit --json --directory --config --help' ;;
                follow) words='--session --subject --resource --type --verdict --json --directory
                    --config --help' ;;
                show) words='--json --directory --config --help' ;;
                verify) words='--directory --config --help' ;;
                esac
            fi
            ;;
        esac
        if [ "$command" = kill ] && [ "$COMP_CWORD" -eq 2 ] && [[ $cur != -* ]]; then
            words="$words $(bulkhead sessions 2>/dev/null | sed 1d | cut -d' ' -f1)"
        fi
    fi
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}

complete -F _bulkhead bulkhead
