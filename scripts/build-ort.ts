console.log('build-ort: not yet');
