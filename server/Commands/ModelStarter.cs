using System.Diagnostics.Metrics;
using LlamaServe.Engine;
using LlamaServe.Kernels;
using LlamaServe.Models;
using LlamaServe.Server.Hosting;

namespace LlamaServe.Server.Commands;

/// <summary>Loads the model that the options name and starts its engine.</summary>
internal static class ModelStarter
{
    public static async Task<HostedModel> Start(IServiceProvider services, CancellationToken cancellationToken)
    {
        ServerOptions options = services.GetRequiredService<ServerOptions>();
        LoadProgressDisplay progress = new(Console.Error, !Console.IsErrorRedirected, options.ModelFileName, cancellationToken);
        ILogger<HostedModel> logger = services.GetRequiredService<ILogger<HostedModel>>();
        LoadedModel? loaded = null;
        LlamaEngine engine = new(
            () => loaded = Load(options, progress, logger),
            options.Engine,
            log: services.GetRequiredService<ILogger<LlamaEngine>>(),
            meters: services.GetRequiredService<IMeterFactory>());
        try
        {
            await engine.StartAsync(cancellationToken);
        }
        catch
        {
            await engine.DisposeAsync();
            throw;
        }
        finally
        {
            progress.End();
        }
        LoadedModel model = loaded!;
        if (model.IdsWithoutRow > 0)
        {
            logger.IdsWithoutRow(model.Name, model.Model.Config.VocabularySize, model.Tokenizer.VocabularySize - 1);
        }
        return new HostedModel(
            options.ModelName ?? model.Name, engine, model.Tokenizer, model.Model.Config, model.Defaults, model.Model.Backend.Description);
    }

    private static LoadedModel Load(ServerOptions options, LoadProgressDisplay progress, ILogger logger)
    {
        IBackend backend = options.Device.Create(options.Threads ?? 0, logger.DeviceWarning);
        try
        {
            return ModelLoader.Load(options.ModelPath, backend, progress);
        }
        catch
        {
            backend.Dispose();
            throw;
        }
    }
}
