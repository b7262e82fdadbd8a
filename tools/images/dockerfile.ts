/** The Dockerfile of each image of the product: from nothing, the two root folders that `tools/images` fills. Pure. */
import { type ImageDefinition, IMAGES } from './definitions.ts';

export function dockerfiles(): ReadonlyMap<string, string> {
  const product = IMAGES.filter((image) => image.product);
  return new Map(product.map((image) => [`${image.name}/Dockerfile`, dockerfileOf(image)]));
}

export function dockerfileOf({ name, config }: ImageDefinition): string {
  const env = Object.entries(config.env).map(([variable, value]) => `${variable}=${value}`);
  return `# Generated from tools/images/definitions.ts (npm run generate). What it copies is made first:
#   node tools/images/main.ts --roots --out FOLDER ${name}
#   docker build -f deploy/images/${name}/Dockerfile FOLDER/roots
FROM scratch
COPY base/ /
COPY ${name}/ /
ENV ${env.join(' ')}
USER ${config.user}
WORKDIR ${config.workingFolder}
ENTRYPOINT ${JSON.stringify(config.entrypoint)}
`;
}
