using LlamaServe.Server.Commands;

return await CommandLine.Run(args);
