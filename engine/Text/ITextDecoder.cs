namespace LlamaServe.Engine.Text;

/// <summary>Turns one sample's token ids into text, as far as it is certain: whole characters only.</summary>
internal interface ITextDecoder
{
    /// <summary>The text that this token completes, maybe none.</summary>
    string Append(int tokenId);

    /// <summary>What is left at the end; bytes that never became a character come as U+FFFD.</summary>
    string Flush();
}
