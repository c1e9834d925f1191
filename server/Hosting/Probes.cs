using LlamaServe.Engine;

namespace LlamaServe.Server.Hosting;

/// <summary>The HTTP/1.1 port: /metrics for Prometheus, /healthz (alive) and /readyz (takes requests) for orchestrators.</summary>
internal static class Probes
{
    public static void Map(IApplicationBuilder side)
    {
        EngineHost host = side.ApplicationServices.GetRequiredService<EngineHost>();
        side.UseOpenTelemetryPrometheusScrapingEndpoint("/metrics");
        side.Run(context => context.Request.Path.Value switch
        {
            "/healthz" => Answer(context, HealthReporter.IsAlive(host.State), host.State),
            "/readyz" => Answer(context, host.State == EngineState.Ready, host.State),
            _ => NotFound(context),
        });
    }

    private static Task Answer(HttpContext context, bool isGood, EngineState state)
    {
        context.Response.StatusCode = isGood ? StatusCodes.Status200OK : StatusCodes.Status503ServiceUnavailable;
        context.Response.ContentType = "text/plain";
        return context.Response.WriteAsync(state.ToString().ToLowerInvariant() + "\n");
    }

    private static Task NotFound(HttpContext context)
    {
        context.Response.StatusCode = StatusCodes.Status404NotFound;
        return Task.CompletedTask;
    }
}
