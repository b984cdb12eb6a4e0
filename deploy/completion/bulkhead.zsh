#compdef bulkhead
# Completion of bulkhead(1) for zsh.

_bulkhead_sessions() {
    local -a ids
    ids=(${(f)"$(bulkhead sessions 2>/dev/null | sed 1d | cut -d' ' -f1)"})
    compadd -a ids
}

_bulkhead() {
    local config='--config[the configuration]:file:_files'
    local -a filters=(
        '--session[id]:id:' '--subject[pattern]:name:' '--resource[pattern]:name:'
        '--type[of record]:type:(session_opened session_refused session_closed command_intent command_outcome event service_started service_stopped service_died configuration_loaded admin_action ledger_recovered)'
        '--verdict[verdict]:verdict:(allow deny)' '--since[time]:time:' '--until[time]:time:'
        '--limit[only the last]:number:' '--json[records as they are]'
        '--directory[of the ledger]:directory:_directories')

    if (( CURRENT == 2 )); then
        local -a commands=(
            'serve:run the gateway in the foreground' 'check:check a configuration file'
            'explain:say what an identity may do' 'token:issue and revoke tokens'
            'login-link:print a link that logs into the console once'
            'audit:list, show, follow and verify the ledger' 'status:show the state of a gateway'
            'sessions:list the sessions' 'kill:end a session'
            'catalog:read the catalog of a database'
            'schema:print the schema or the reference')
        _describe command commands
        return
    fi
    local command=$words[2] verb=$words[3]
    case $command in
    token)
        (( CURRENT == 3 )) && { compadd issue revoke keys; return }
        _arguments '2:verb:' $config '--subject[who]:name:' '*--group[group]:name:' \
            '*--resource[only this one]:name:' '--ttl[life]:time:' \
            '*--actor[who acts]:name:' '--task[what for]:name:' ;;
    login-link) _arguments $config '--subject[who]:name:' '*--group[group]:name:' ;;
    audit)
        (( CURRENT == 3 )) && { compadd list show follow verify; return }
        _arguments '2:verb:' '3::record or session:' $filters $config ;;
    explain)
        _arguments $config '--as[claims]:file:_files' '--resource[name]:name:' \
            '--sql[statements]:text:' '--database[name]:name:' '--source[address]:address:' \
            '--search-path[schemas]:schemas:' '--catalog[saved]:file:_files' '--at[time]:time:' \
            '--purpose[what for]:text:' \
            '--issuer[name]:name:' '--json[as JSON]' ;;
    kill) _arguments '2:session:_bulkhead_sessions' $config ;;
    catalog) _arguments $config '--resource[name]:name:' '--database[name]:name:' '--output[file]:file:_files' ;;
    sessions) _arguments '--json[every field]' $config ;;
    schema) _arguments '--json[JSON Schema]' '--markdown[reference]' ;;
    *) _arguments $config ;;
    esac
}

_bulkhead "$@"
