// SPDX-License-Identifier: MIT
//
// Starts Swagger UI on /openapi.json.  All addresses are taken from where this page is, so that it
// works behind a proxy that puts a prefix before it.
'use strict';

(function () {
  // Swagger UI 3 takes options from the query (?url=, ?configUrl=), whatever it is told: a link must
  // not choose the document in which somebody types a password.
  if (location.search || location.hash) {
    history.replaceState(null, '', location.pathname);
  }

  const base = new URL('.', location.href).href.replace(/\/$/, '');

  function fail(problem) {
    document.getElementById('docs').textContent = 'This page cannot be shown: ' + problem;
  }

  // OpenAPI 3.1 in the words of 3.0, for a viewer that knows no other (Swagger UI before 5).
  function convert(node) {
    if (Array.isArray(node)) {
      return node.map(convert);
    }
    if (node === null || typeof node !== 'object') {
      return node;
    }
    const converted = {};
    for (const [name, value] of Object.entries(node)) {
      const isData = name === 'example' || name === 'default' || name === 'enum';
      converted[name] = isData ? value : convert(value);
    }
    if (Array.isArray(node.type)) {
      const types = node.type.filter((type) => type !== 'null');
      converted.nullable = types.length < node.type.length;
      converted.type = types[0];
      if (types.length > 1) {
        delete converted.type;
        converted.anyOf = types.map((type) => ({ type }));
      }
    }
    for (const list of ['anyOf', 'oneOf']) {
      if (Array.isArray(node[list]) && node[list].some((schema) => schema.type === 'null')) {
        converted[list] = converted[list].filter((schema) => schema.type !== 'null');
        converted.nullable = true;
      }
    }
    if ('const' in node && typeof node.const !== 'object') {
      delete converted.const;
      converted.enum = [node.const];
    }
    return converted;
  }

  function prepare(spec) {
    const schemes = Object.values((spec.components || {}).securitySchemes || {});
    for (const scheme of schemes) {
      for (const flow of Object.values(scheme.flows || {})) {
        if (flow.tokenUrl && flow.tokenUrl.startsWith('/')) {
          flow.tokenUrl = base + flow.tokenUrl;
        }
      }
    }
    spec.servers = [{ url: base }];
    const plugins = SwaggerUIBundle.plugins || {};
    return plugins.OpenAPI31 ? spec : Object.assign(convert(spec), { openapi: '3.0.3' });
  }

  if (typeof SwaggerUIBundle === 'undefined') {
    fail('swagger-ui-bundle.js did not load');
    return;
  }
  fetch('openapi.json', { credentials: 'same-origin' })
    .then((answer) => {
      if (!answer.ok) {
        throw new Error('openapi.json: ' + answer.status);
      }
      return answer.json();
    })
    .then((spec) => {
      SwaggerUIBundle({
        spec: prepare(spec),
        dom_id: '#docs',
        presets: [SwaggerUIBundle.presets.apis],
        layout: 'BaseLayout',
        deepLinking: false,
        defaultModelsExpandDepth: 0,
        persistAuthorization: false, // tokens stay in this page
        queryConfigEnabled: false,
        validatorUrl: null, // nobody else gets to see the document
      });
    })
    .catch((problem) => fail(problem.message));
})();
