using System.Net.Http.Json;
using System.Net.ServerSentEvents;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace LlamaServe.Bench.Load;

/// <summary>
/// Asks through OpenAI's HTTP interface, streaming: <c>/v1/completions</c> with token ids or text, or <c>/v1/chat/completions</c> with text.
/// Pieces are timed as <c>vllm bench serve</c> does: every event with choices counts, and tokens are what <c>usage</c> says at the end.
/// </summary>
/// <param name="endpoint">The whole address, e.g. http://127.0.0.1:8000/v1/completions.</param>
/// <param name="model">Name to ask for.</param>
/// <param name="decode">Ids to text, for servers that take no ids, and for chats; null: ids are sent.</param>
internal sealed class OpenAiGenerationClient(Uri endpoint, string model, Func<int[], string>? decode) : IGenerationClient
{
    private readonly HttpClient _http = new(new SocketsHttpHandler { PooledConnectionLifetime = Timeout.InfiniteTimeSpan })
    {
        Timeout = Timeout.InfiniteTimeSpan,
    };

    private bool IsChat => endpoint.AbsolutePath.EndsWith("/chat/completions", StringComparison.Ordinal);

    public async Task SendAsync(LoadRequest request, RequestRecord record, CancellationToken cancellationToken)
    {
        using HttpRequestMessage message = new(HttpMethod.Post, endpoint) { Content = JsonContent.Create(Body(request)) };
        record.MarkSent();
        try
        {
            using HttpResponseMessage response = await _http.SendAsync(message, HttpCompletionOption.ResponseHeadersRead, cancellationToken);
            if (!response.IsSuccessStatusCode)
            {
                record.MarkFailed($"{(int)response.StatusCode}: {Head(await response.Content.ReadAsStringAsync(cancellationToken))}");
                return;
            }

            await ReadAsync(await response.Content.ReadAsStreamAsync(cancellationToken), record, cancellationToken);
        }
        catch (Exception exception) when (
            exception is HttpRequestException or IOException or JsonException or InvalidOperationException && !cancellationToken.IsCancellationRequested)
        {
            record.MarkFailed(exception.Message);
        }
    }

    public void Dispose() => _http.Dispose();

    private static async Task ReadAsync(Stream body, RequestRecord record, CancellationToken cancellationToken)
    {
        int? tokens = null;
        StringBuilder text = new();
        await foreach (SseItem<string> item in SseParser.Create(body).EnumerateAsync(cancellationToken))
        {
            if (item.Data == "[DONE]")
            {
                break;
            }

            using JsonDocument document = JsonDocument.Parse(item.Data);
            JsonElement root = document.RootElement;
            if (root.TryGetProperty("choices", out JsonElement choices) && choices.GetArrayLength() > 0)
            {
                record.MarkPiece(0);
                text.Append(TextOf(choices[0]));
            }

            if (root.TryGetProperty("usage", out JsonElement usage) && usage.ValueKind == JsonValueKind.Object)
            {
                tokens = usage.GetProperty("completion_tokens").GetInt32();
            }
        }

        record.Text = text.ToString();
        if (tokens is null)
        {
            record.MarkFailed("the server told no usage");
            return;
        }

        record.MarkEnded(tokens);
    }

    private static string? TextOf(JsonElement choice)
    {
        JsonElement holder = choice.TryGetProperty("delta", out JsonElement delta) ? delta : choice;
        bool has = holder.TryGetProperty("text", out JsonElement text) || holder.TryGetProperty("content", out text);
        return has && text.ValueKind == JsonValueKind.String ? text.GetString() : null;
    }

    private static string Head(string text) => text.Length <= 200 ? text : text[..200] + "…";

    private JsonObject Body(LoadRequest request)
    {
        JsonObject body = new()
        {
            ["model"] = model,
            ["max_tokens"] = request.OutputTokens,
            ["temperature"] = 0,
            ["ignore_eos"] = true,
            ["stream"] = true,
            ["stream_options"] = new JsonObject { ["include_usage"] = true },
        };
        if (IsChat)
        {
            body["messages"] = new JsonArray(new JsonObject { ["role"] = "user", ["content"] = decode!(request.Prompt) });
        }
        else
        {
            body["prompt"] = decode is null ? new JsonArray([.. request.Prompt.Select(id => JsonValue.Create(id))]) : decode(request.Prompt);
        }

        return body;
    }
}
