using LlamaServe.Kernels;
using LlamaServe.Models.Weights;
using LlamaServe.Server.Hosting;

namespace LlamaServe.Server.Commands;

/// <summary>Starts a server for a command; what goes wrong ends the command with one sentence.</summary>
internal static class ServerLaunch
{
    /// <summary>Starts the application.</summary>
    /// <exception cref="CommandException">A port cannot be opened.</exception>
    public static async Task Open(WebApplication app, CancellationToken cancellationToken)
    {
        try
        {
            await app.StartAsync(cancellationToken);
        }
        catch (IOException failure)
        {
            throw new CommandException($"The server cannot listen: {failure.Message}", ExitCode.Unreachable, failure);
        }
    }

    /// <summary>Waits for the model.</summary>
    /// <returns>Null when the application was stopped before.</returns>
    /// <exception cref="CommandException">The model cannot be loaded.</exception>
    public static async Task<HostedModel?> Loaded(WebApplication app)
    {
        Task<HostedModel> model = app.Services.GetRequiredService<EngineHost>().Model;
        try
        {
            return await model.WaitAsync(app.Lifetime.ApplicationStopping);
        }
        catch (OperationCanceledException)
        {
            return null;
        }
        catch (DeviceUnavailableException failure)
        {
            throw new CommandException($"The device cannot be used: {failure.Message}", ExitCode.ModelUnusable, failure);
        }
        catch (Exception failure) when (failure is CheckpointException or ArgumentException or IOException or UnauthorizedAccessException)
        {
            throw new CommandException($"The model cannot be served: {failure.Message}", ExitCode.ModelUnusable, failure);
        }
    }
}
