// What there is, what you may do there, and the line to paste.
import { useState } from 'preact/hooks';
import { get } from '../api/client';
import type { Resource } from '../api/types';
import { Copy, Empty, Fact, Facts, Failure, Link, Loading, Text, Verdict } from '../ui/basics';
import { useLoad, useTitle } from '../ui/hooks';

export function Resources() {
  useTitle('Resources');
  const { data, error, loading, reload } = useLoad<{ items: Resource[] }>('resources', (signal) => get('/v1/resources', {}, signal));
  const [text, setText] = useState('');
  const wanted = text.trim().toLowerCase();
  const items = (data?.items ?? []).filter((resource) => wanted === '' || JSON.stringify([resource.name, resource.labels, resource.databases]).toLowerCase().includes(wanted));
  return (
    <div class="page">
      <header class="page-head">
        <h1>Resources</h1>
        <div class="search" role="search">
          <input type="search" data-search aria-label="Search resources" placeholder="Name or label" value={text} onInput={(event) => setText(event.currentTarget.value)} />
        </div>
      </header>
      {error !== undefined && <Failure error={error} what="the resources" retry={reload} />}
      {data === undefined && loading && <Loading what="the resources" />}
      {data !== undefined && items.length === 0 && <Empty><p>{wanted === '' ? 'No resource is configured.' : 'No resource fits.'}</p></Empty>}
      {items.map((resource) => (
        <article class="entry" key={resource.name} aria-labelledby={`resource-${resource.name}`}>
          <header>
            <h2 id={`resource-${resource.name}`} tabIndex={-1} data-row><Text>{resource.name}</Text></h2>
            <span class="hint">{resource.protocol}</span>
            {Object.entries(resource.labels ?? {}).map(([key, value]) => (
              <span class="label" key={key}><Text>{`${key}=${value}`}</Text></span>
            ))}
          </header>
          <Facts>
            <Fact name="You">
              {resource.you && (
                <>
                  <Verdict value={resource.you.allowed ? 'allow' : 'deny'} /> <Text>{resource.you.text}</Text>
                  {!resource.you.allowed && <> <Link to={`/access?resource=${encodeURIComponent(resource.name)}`}>Ask for access</Link></>}
                </>
              )}
            </Fact>
            <Fact name="Databases">{resource.databases && resource.databases.length > 0 && <Text>{resource.databases.join(', ')}</Text>}</Fact>
            <Fact name="Behind it">{resource.address_hint && <span class="mono"><Text>{resource.address_hint}</Text></span>}</Fact>
            <Fact name="Ask">{resource.contact && <Text>{resource.contact}</Text>}</Fact>
          </Facts>
          {resource.connect && resource.connect.length > 0 && (
            <details>
              <summary>How to connect</summary>
              {resource.connect.map(({ client, line }) => (
                <div class="connect" key={client}>
                  <h3>{client}</h3>
                  <Copy text={line} label={`${client} to ${resource.name}`} />
                </div>
              ))}
            </details>
          )}
        </article>
      ))}
    </div>
  );
}
