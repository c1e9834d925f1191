using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace LlamaServe.Bench.Tests.Load;

/// <summary>Speaks OpenAI's HTTP interface and waits, before the first token and before each further one, at least as long as it was told.</summary>
internal sealed class SlowServer : IAsyncDisposable
{
    private readonly WebApplication _app;

    private SlowServer(WebApplication app) => _app = app;

    public Uri Endpoint { get; private set; } = null!;

    /// <summary>The bodies that came.</summary>
    public List<JsonNode> Requests { get; } = [];

    public static async Task<SlowServer> StartAsync(TimeSpan first, TimeSpan further, int failEvery = int.MaxValue)
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        SlowServer server = new(builder.Build());
        server._app.MapPost("/v1/completions", context => server.AnswerAsync(context, first, further, failEvery));
        await server._app.StartAsync();
        server.Endpoint = new Uri(server._app.Urls.Single() + "/v1/completions");
        return server;
    }

    public ValueTask DisposeAsync() => _app.DisposeAsync();

    private async Task AnswerAsync(HttpContext context, TimeSpan first, TimeSpan further, int failEvery)
    {
        JsonNode body = (await JsonNode.ParseAsync(context.Request.Body))!;
        int number;
        lock (Requests)
        {
            Requests.Add(body);
            number = Requests.Count;
        }

        if (number % failEvery == 0)
        {
            context.Response.StatusCode = StatusCodes.Status503ServiceUnavailable;
            await context.Response.WriteAsync("no room");
            return;
        }

        int tokens = body["max_tokens"]!.GetValue<int>();
        for (int i = 0; i < tokens; i++)
        {
            await Task.Delay(i == 0 ? first : further);
            await SendAsync(new { choices = new[] { new { text = "x" } } });
        }

        await SendAsync(new { choices = Array.Empty<object>(), usage = new { completion_tokens = tokens } });
        await context.Response.WriteAsync("data: [DONE]\n\n");

        async Task SendAsync(object piece)
        {
            await context.Response.WriteAsync($"data: {JsonSerializer.Serialize(piece)}\n\n");
            await context.Response.Body.FlushAsync();
        }
    }
}
