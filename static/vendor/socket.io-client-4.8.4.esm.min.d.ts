// Lets tsc read the vendored client with the types of the npm package it was taken from.
export * from "socket.io-client"
